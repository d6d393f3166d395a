"""The sections of the config that have many keys: their types, bounds and what they mean."""
