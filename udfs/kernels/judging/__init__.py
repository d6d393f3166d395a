"""Measures of balance and coverage."""
