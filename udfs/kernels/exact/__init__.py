"""Exact arithmetic: the grid, nearest centroids, hashing, what may be wrong with a vector."""
