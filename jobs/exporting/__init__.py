"""Samples, selections and batches as files that a trainer reads; the folder they go to."""
