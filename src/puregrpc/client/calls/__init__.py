"""A client's calls without I/O: made ready from the schema, told as responses, measured and logged."""
