"""Exported batches for trainers: files, order, shares, and a place to go on from; no Spark."""
