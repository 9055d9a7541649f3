"""Clients of other makes that make one call, for the table of what they make of a misbehaving server."""
