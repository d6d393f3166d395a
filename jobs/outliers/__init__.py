"""Points far from all others: their neighbours, their scores, and what scatter does to a sample."""
