"""What the ledger tells about past runs: listing, cleaning up after them, checking their tables."""
