"""The lake's tables: their columns, how rows get in and out, and locks between writers."""
