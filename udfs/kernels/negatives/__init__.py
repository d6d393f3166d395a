"""Batches of hard negatives: a walk through near nodes, and places for points kept apart."""
