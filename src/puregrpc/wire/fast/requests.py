"""From the header list of a request to what the server makes of it, with the part that repeats made once.

A `FieldRun` (the indexed fields that a block begins with) mostly is a request in itself: all but grpc-timeout and the
metadata of the call. What `headers.parse_request` says of it is kept with it, and only the fields behind it are looked
at for each call. Whatever is not that simple goes to `headers.parse_request` as a whole.
"""

from __future__ import annotations

from puregrpc.errors import RemoteProtocolError
from puregrpc.wire.connection import Request
from puregrpc.wire.deadline import parse_timeout
from puregrpc.wire.fast.custom_metadata import read_custom
from puregrpc.wire.fast.hpack_decoder import FieldRun
from puregrpc.wire.fast.hpack_table import Fields
from puregrpc.wire.headers import Refusal, parse_request

__all__ = ["read_request"]

NOT_SIMPLE = Refusal()


def read_request(run: FieldRun, fields: Fields) -> Request | None:
    """Read a request whose run of fields is one in itself; None for any other, which is to be read as a whole.

    The Request is the caller's own.
    """
    known: Request | None = run.plain
    if known is None:
        if run.head is None:
            run.head = _read_run(run.fields)
            run.plain = run.head if isinstance(run.head, Request) else None
            return read_request(run, fields)
        return None
    timeout = known.timeout
    metadata = known.metadata
    if fields:
        if fields[0][0] == b"grpc-timeout" and timeout is None:
            try:
                timeout = parse_timeout(fields[0][1])
            except RemoteProtocolError:
                return None
            fields = fields[1:]
        if fields:
            more = read_custom(fields)
            if more is None:
                return None
            metadata += more
    return Request(
        known.path,
        known.authority,
        metadata,
        timeout,
        known.encoding,
        known.accept_encodings,
        known.content_subtype,
        known.user_agent,
    )


def _read_run(fields: Fields) -> Request | Refusal:
    """What a run is as a request; a Refusal if it is none, or none that further fields leave as it is."""
    try:
        request = parse_request(fields)
    except RemoteProtocolError:
        return NOT_SIMPLE
    if any(name == b"content-length" for name, _ in fields):
        return NOT_SIMPLE
    return request
