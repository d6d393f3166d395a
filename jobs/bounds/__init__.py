"""Bounds on a sample's rows: those of each value, and those of single nodes of the tree."""
