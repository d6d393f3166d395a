"""Runs: keys, the ledger of events, attempts and their leases, checkpoints, progress."""
