"""Pairs of two models' embeddings, super-batches of them, and the page of what was selected."""
