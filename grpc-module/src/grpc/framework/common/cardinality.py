"""How many messages a method takes and gives."""

from __future__ import annotations

import enum

__all__ = ["Cardinality"]


@enum.unique
class Cardinality(enum.Enum):
    """The shape of a method."""

    UNARY_UNARY = "request-unary/response-unary"
    UNARY_STREAM = "request-unary/response-streaming"
    STREAM_UNARY = "request-streaming/response-unary"
    STREAM_STREAM = "request-streaming/response-streaming"
