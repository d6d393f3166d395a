"""The lake's tables: their columns, reading and writing rows, and locks between writers."""
