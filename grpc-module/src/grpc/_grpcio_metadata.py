"""Kept under the name that grpcio has for it."""

from grpc._version import __version__

__all__ = ["__version__"]
