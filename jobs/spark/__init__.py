"""Spark: the session, its capabilities and errors, and how arrays reach its workers."""
