"""Shards of a table that workers write themselves: tar files, fragments of a Lance dataset."""
