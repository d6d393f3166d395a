"""Turn pool values into vectors: one module per embedder, all with the contract of `contract`."""
