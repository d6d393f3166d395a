"""The points that count: hash samples of them, and their ranks in a leaf."""
