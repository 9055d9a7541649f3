"""The message types that a status may bring whatever the schema: those of google.rpc."""

from __future__ import annotations

from functools import lru_cache

from puregrpc.proto import compile as compile_proto
from puregrpc.schema.registry import Registry

__all__ = ["standard_registry"]

STANDARD_FILES = ("google/rpc/error_details.proto", "google/rpc/status.proto")


@lru_cache(maxsize=1)
def standard_registry() -> Registry:
    """google.rpc.Status and the types of google/rpc/error_details.proto."""
    registry = Registry()
    for file in compile_proto(list(STANDARD_FILES)):
        registry.add_file(file)
    return registry
