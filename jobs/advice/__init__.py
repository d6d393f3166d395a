"""Whether to curate a pool at all, and the evidence for it: after a run, or before one."""
