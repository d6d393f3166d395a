"""Labels: how evenly they spread, how well they follow the vectors, what a sample teaches."""
