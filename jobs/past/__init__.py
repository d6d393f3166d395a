"""What the ledger tells of past runs: listing, cleaning up after them, checking their tables."""
