"""The embedder that a config names, its code, and what it learns before it embeds."""
