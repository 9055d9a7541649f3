"""The command line: one file per command, each with a ``main(argv)`` that returns the exit status."""
