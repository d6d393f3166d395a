"""Near duplicates: coarse cells to search in, pairs of similar points, who stands for whom."""
