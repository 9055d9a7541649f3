"""What a call is made with: its options, as the caller, interceptors and credentials see and change them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from math import inf
from typing import TypeVar

from puregrpc.errors import InvalidArgument
from puregrpc.wire.connection import Metadata, Request

__all__ = ["CallCredentials", "CallDetails", "Deserializer", "MetadataLike", "Serializer", "deadline_of", "metadata_of"]

RequestT_contra = TypeVar("RequestT_contra")
ResponseT_co = TypeVar("ResponseT_co")

Serializer = Callable[[RequestT_contra], bytes]
Deserializer = Callable[[bytes], ResponseT_co]

MetadataLike = Mapping[str, str] | Mapping[str, bytes] | Mapping[str, str | bytes] | Iterable[tuple[str, str | bytes]]
"""Metadata as callers write it: a mapping, or pairs where a name may come again. Values of -bin names are bytes."""

CallCredentials = Callable[["CallDetails"], Awaitable[MetadataLike] | MetadataLike]
"""Asked before each call for metadata that proves who calls, such as ``authorization: Bearer TOKEN``; async or not."""


def metadata_of(given: MetadataLike | None) -> Metadata:
    """Metadata in the one form that is used inside."""
    if not given:
        return ()
    return tuple(given.items()) if isinstance(given, Mapping) else tuple(given)


@dataclass(slots=True)
class CallDetails:
    """One call, before it is opened. Interceptors may pass on a changed copy (``dataclasses.replace``)."""

    path: str
    """``/pkg.Service/Method``."""
    metadata: Metadata = ()
    timeout: float | None = None
    """Seconds; None: no deadline."""
    wait_for_ready: bool = False
    """True: wait for a connection until the deadline. False: fail with UNAVAILABLE when no connection can be made."""
    compression: str | None = None
    """The grpc-encoding of the request's messages; None: the channel's."""
    credentials: CallCredentials | None = None
    """In addition to those of the channel."""
    deadline: float | None = None
    """On the kernel's clock; worked out from ``timeout`` when the call is begun."""
    request: Request = field(default_factory=partial(Request, ""))
    """The request's head as it goes to the connection; made when the call is begun."""


def deadline_of(timeout: float | None, now: float) -> float | None:
    """The point on the clock that is ``timeout`` seconds after ``now``."""
    if timeout is None:
        return None
    deadline = now + timeout
    if deadline < inf:
        return deadline
    if timeout != timeout:
        raise InvalidArgument("timeout is not a number")
    return None
