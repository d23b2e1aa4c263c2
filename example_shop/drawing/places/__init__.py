"""Build the rooms, tables and streets of the lifestyle pictures."""
