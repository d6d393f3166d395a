"""Pictures of a run: the tree as tiles to open, its nodes on a map, coverage by size."""
