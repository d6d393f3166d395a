"""Exported batches as trainers read them: the files, their order, a place to go on from; no Spark."""
