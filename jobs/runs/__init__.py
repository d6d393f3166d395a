"""Runs: stages and their keys, work, outcomes, checkpoints, progress."""
