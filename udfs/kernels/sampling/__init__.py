"""Quotas down a tree."""
