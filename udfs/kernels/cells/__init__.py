"""Levels split into cells: coarse cells, their solution, routing to the nearest leaf."""
