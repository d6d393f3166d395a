"""Spark: the session, what it can do, what it raises, how arrays get to its workers."""
