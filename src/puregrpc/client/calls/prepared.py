"""A unary call that is ready to be sent, and the method that it is of."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from puregrpc.client.calls.measure import CallSeries
from puregrpc.client.calls.requests import CallRequest
from puregrpc.client.params.call import CallParams
from puregrpc.proto.descriptors import MethodDescriptor
from puregrpc.wire.status import Status

__all__ = ["BoundMethod", "PreparedCall"]


@dataclass(slots=True)
class BoundMethod:
    """A method with the way its messages become bytes."""

    descriptor: MethodDescriptor = field(repr=False)
    path: str
    encode: Callable[[Any], bytes]
    decode: Callable[[bytes], Any]
    decode_object: Callable[[bytes], Any] | None = None
    """As ``decode``, to google.protobuf objects; made for the first call that wants them."""


@dataclass(slots=True)
class PreparedCall(CallRequest):
    """A call that is ready to be sent, or that cannot be and has ended already (``refused``)."""

    method: BoundMethod = field(repr=False)
    params: CallParams
    decode: Callable[[bytes], Any]
    """Makes what the response shows of its message: a dict, or a google.protobuf object."""
    series: CallSeries = field(repr=False)
    """Where its samples go."""
    began: float
    behind: float | None
    """How many seconds it began later than it was due; None if nothing was planned."""
    refused: Status | None = None
    measured: bool = True
    """Whether the refusal counts as a call in the metrics."""
