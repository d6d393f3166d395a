"""How files are read as rows: which files, in which format, by which reader."""
