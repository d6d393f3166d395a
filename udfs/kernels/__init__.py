"""The mathematics, numpy only: no Spark, no Arrow, tested in milliseconds."""
