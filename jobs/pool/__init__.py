"""The pool: its formats, its columns and ids, and the version of it that a run reads."""
