"""Turn pool values into vectors: one module per embedder, ending with its spec; see `specs`."""
