"""Synthetic data: concepts that the lake has little of, prompts, captions, checks of them."""
