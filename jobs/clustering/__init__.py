"""The tree: levels solved one on top of the other over block sources; knows blocks, not Spark."""
