"""The config: the model of every key, loading, resolving ``auto``, secrets, errors."""
