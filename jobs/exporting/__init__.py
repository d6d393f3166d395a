"""Selections and batches as plain Parquet files, whole batches each, that a trainer can read."""
