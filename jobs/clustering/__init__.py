"""The tree: levels solved one on top of another over block sources, in memory or on Spark."""
