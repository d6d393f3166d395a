"""Retrieval: seeds that samples are to be like, where they land, and the points nearest to them."""
