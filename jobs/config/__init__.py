"""The config: its model, loading, resolving ``auto``, secrets, errors."""
