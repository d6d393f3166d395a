"""The ledger: events of stage keys, attempts and their leases, in the lake or in memory."""
