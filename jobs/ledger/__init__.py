"""The ledger: stage-key events, attempts and their leases, in the lake or in memory."""
