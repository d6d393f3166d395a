"""Which embedder a config means, the code that it brings, and what it learns before it embeds."""
