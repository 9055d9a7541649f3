"""Suites and peers from outside: each folder has a `run` script that installs what it needs and prints a table."""
