"""The tree: levels solved one on top of another over block sources, without and with Spark."""
