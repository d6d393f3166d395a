"""Duplicates: exact copies, near ones, and which of several stays."""
