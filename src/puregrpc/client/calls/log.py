"""Calls written to the log, as k6's ``--http-debug`` writes them.

The logger is ``puregrpc.client``; set it to DEBUG to see headers, payloads and trailers. Every record names the
connection, the call (as ``stream``) and the method, in its text and as attributes. Secrets are not written.
"""

from __future__ import annotations

import itertools
import logging
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from puregrpc.errors import DecodeError
from puregrpc.wire.status import Status

if TYPE_CHECKING:
    from puregrpc.client.calls.prepared import PreparedCall
    from puregrpc.client.calls.requests import UnaryOutcome
    from puregrpc.codec import Codec
    from puregrpc.proto.descriptors import MessageDescriptor

__all__ = ["LOGGER", "CallLog"]

LOGGER = logging.getLogger("puregrpc.client")

SECRETS = frozenset({"authorization", "cookie", "proxy-authorization"})

_numbers = itertools.count(1)


class CallLog:
    """Writes a client's calls to the log when it listens."""

    def __init__(self, codec: Codec) -> None:
        self._codec = codec

    def is_on(self) -> bool:
        """Whether anyone listens."""
        return LOGGER.isEnabledFor(logging.DEBUG)

    def next_number(self) -> int:
        """A number for a call, for its records."""
        return next(_numbers)

    def unary(self, connection: str, call: PreparedCall, outcome: UnaryOutcome, status: Status) -> None:
        """Write a whole unary call."""
        number, method = self.next_number(), call.method.descriptor
        path = call.method.path
        self.headers("Out Header", connection, number, path, call.metadata)
        self.payload("Out Payload", connection, number, path, method.input_type, call.message)
        self.headers("In Header", connection, number, path, outcome.headers)
        if outcome.message is not None:
            self.payload("In Payload", connection, number, path, method.output_type, outcome.message)
        self.trailer(connection, number, path, status, outcome.trailers)

    def headers(self, what: str, connection: str, number: int, path: str, metadata: Iterable[tuple[str, Any]]) -> None:
        """Write metadata."""
        if self.is_on():
            self._write(what, connection, number, path, metadata_lines(metadata))

    def payload(
        self, what: str, connection: str, number: int, path: str, descriptor: MessageDescriptor, data: bytes
    ) -> None:
        """Write a message, as JSON."""
        if self.is_on():
            try:
                text = self._codec.to_json(descriptor, data)
            except DecodeError as error:
                text = f"{data.hex()} (not a {descriptor.full_name}: {error})"
            self._write(what, connection, number, path, [f"Wire Length: {len(data) + 5}", text])

    def trailer(
        self, connection: str, number: int, path: str, status: Status, metadata: Iterable[tuple[str, Any]]
    ) -> None:
        """Write how a call ended."""
        if self.is_on():
            said = f"Status: {status.code:d} {status.name} {status.message}".rstrip()
            self._write("In Trailer", connection, number, path, [said, *metadata_lines(metadata)])

    def _write(self, what: str, connection: str, number: int, path: str, lines: list[str]) -> None:
        LOGGER.debug(
            "%s:\nFull Method: %s\nRemote Address: %s\nStream: %d\n%s",
            what,
            path,
            connection,
            number,
            "\n".join(lines),
            extra={"connection": connection, "stream": number, "method": path},
        )


def metadata_lines(metadata: Iterable[tuple[str, Any]]) -> list[str]:
    return [
        f"{name}: {'(secret)' if name in SECRETS else value.hex() if isinstance(value, bytes) else value}"
        for name, value in metadata
    ]
