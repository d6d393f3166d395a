"""What every job stands on: config, session, tables, runs, shipping of arrays."""
