"""The HTML report page: one self-contained file, drawn from the rows of the report table."""
