"""Sampling: what every node of the tree owes a sample, and the points that pay it."""
