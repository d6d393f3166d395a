"""Divide and Contrast: views of points, clusters of them, their experts, and a student of all."""
