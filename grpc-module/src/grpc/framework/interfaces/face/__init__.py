"""Calls, their errors, stubs and methods."""
