"""The version, in one place: the build backend, the user-agent and `puregrpc.__version__` read it from here."""

__version__ = "0.1.0"
