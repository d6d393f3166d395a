"""Near duplicates: coarse cells to search in, pairs of similar points, which of them stay."""
