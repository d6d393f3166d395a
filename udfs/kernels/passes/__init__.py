"""Passes over points: sources of blocks, steps that run over them, the journal of a long fit."""
