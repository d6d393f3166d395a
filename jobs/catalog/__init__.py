"""Delta tables, and tables and views of a catalog: found, and pinned to a version."""
