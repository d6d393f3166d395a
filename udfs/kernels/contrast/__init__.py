"""Divide and Contrast: exact moments of two views, encoders, students, hardness."""
