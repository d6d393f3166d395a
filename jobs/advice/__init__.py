"""Whether to curate a pool at all, and what speaks for it: after a run, or before one."""
