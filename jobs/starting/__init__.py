"""A first config: what a pool looks like from outside, without Spark, and what to write for it."""
