"""Readers that run on executors, for files that Spark has no reader for or has to be told about."""
