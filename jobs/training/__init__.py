"""Exported batches for trainers: files, order, shares, and a place to resume from; no Spark."""
