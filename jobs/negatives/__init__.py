"""Batches of hard negatives: the order of points, its cuts, the guard, and what they are worth."""
