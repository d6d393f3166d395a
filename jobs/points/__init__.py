"""The points left after the gates: hash samples of them, and their ranks in a leaf."""
