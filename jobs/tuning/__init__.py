"""The search for the tree that fits a pool, on a hash sample; knows arrays, not Spark."""
