"""Turn pool values into vectors: one module per embedder, which ends in its spec; see `specs`."""
