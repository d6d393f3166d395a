"""What samples are judged by, without labels: independent nodes and communities of the pool."""
