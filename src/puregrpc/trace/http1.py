"""HTTP/1.1 as the way to HTTP/2: CONNECT through a proxy (RFC 9110, section 9.3.6) and Upgrade: h2c (RFC 7540, 3.2)."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from puregrpc.trace.recording import Chunk, Direction, Recording

__all__ = ["MAX_HEAD", "Head", "begins_request", "begins_response", "behind_tunnels", "read_head"]

MAX_HEAD = 64 << 10
"""So many octets the head of a request or response may have."""

_METHODS = (b"GET ", b"HEAD ", b"POST ", b"PUT ", b"DELETE ", b"OPTIONS ", b"CONNECT ", b"PATCH ", b"TRACE ")
_REQUEST = re.compile(rb"([A-Z]+) (\S+) HTTP/1\.[01]\Z")
_RESPONSE = re.compile(rb"HTTP/1\.[01] ([1-9][0-9]{2})(?: .*)?\Z")
_LINE_END = re.compile(rb"\r?\n")
_HEAD_END = re.compile(rb"\r?\n\r?\n")


@dataclass(frozen=True, slots=True)
class Head:
    """The head of a request or of a response, which has ``size`` octets."""

    size: int
    method: str = ""
    target: str = ""
    status: int = 0
    fields: tuple[tuple[str, str], ...] = ()

    def value(self, name: str) -> str:
        """The values of the fields of that name, joined."""
        return ", ".join(value for field, value in self.fields if field == name)

    @property
    def asks_for_h2c(self) -> bool:
        """Whether a request asks to go on in HTTP/2 without TLS."""
        return any(item.strip().lower() == "h2c" for item in self.value("upgrade").split(","))

    @property
    def body(self) -> int | None:
        """How many octets of body follow; None if the head does not say so in advance."""
        length = self.value("content-length")
        if self.value("transfer-encoding") or not re.fullmatch(r"[0-9]{0,15}", length, re.ASCII):
            return None
        if not length and self.status >= 200 and self.status not in (204, 304):
            return None
        return int(length or 0)


def begins_request(data: bytes) -> bool:
    """Whether octets begin as a request of HTTP/1 does, as far as they go."""
    return data.startswith(_METHODS) or any(method.startswith(data) for method in _METHODS)


def begins_response(data: bytes) -> bool:
    """Whether octets begin as a response of HTTP/1 does, as far as they go."""
    return data.startswith(b"HTTP/1.") or b"HTTP/1.".startswith(data)


def read_head(data: bytes | bytearray, position: int = 0) -> Head | None:
    """The head that begins at a place; None if it is not whole, or is none."""
    end = _HEAD_END.search(data, position, position + MAX_HEAD)
    if end is None:
        return None
    first, *lines = _LINE_END.split(bytes(data[position : end.start()]))
    fields = []
    for line in lines:
        name, _, value = line.partition(b":")
        fields.append((name.strip().decode("latin-1").lower(), value.strip().decode("latin-1")))
    size = end.end() - position
    if request := _REQUEST.match(first):
        return Head(size, request[1].decode(), request[2].decode("latin-1"), fields=tuple(fields))
    if response := _RESPONSE.match(first):
        return Head(size, status=int(response[1]), fields=tuple(fields))
    return None


def behind_tunnels(recording: Recording) -> tuple[tuple[Chunk, ...], Recording]:
    """What opens tunnels at the beginning of a connection, and the recording of what goes through the last of them."""
    sent, received = recording.octets(Direction.CLIENT), recording.octets(Direction.SERVER)
    skipped = {Direction.CLIENT: 0, Direction.SERVER: 0}
    client = server = 0
    while sent.startswith(b"CONNECT ", client):
        request = read_head(sent, client)
        response = read_head(received, server)
        while response is not None and 100 <= response.status < 200:  # interim
            server += response.size
            response = read_head(received, server)
        if request is None or response is None or (response.body is None and not 200 <= response.status < 300):
            break
        client += request.size
        server += response.size
        if 200 <= response.status < 300:
            skipped = {Direction.CLIENT: client, Direction.SERVER: server}
        else:  # such as 407: the client tries again, with credentials
            server += response.body or 0
    if not any(skipped.values()):
        return (), recording
    before: list[Chunk] = []
    behind: list[Chunk] = []
    for chunk in recording.chunks:
        skip = min(skipped[chunk.direction], len(chunk.data))
        skipped[chunk.direction] -= skip
        if skip:
            if chunk.lost != 0:
                return (), recording  # where the head ends is not known then
            before.append(replace(chunk, data=chunk.data[:skip]))
        if skip < len(chunk.data):
            behind.append(replace(chunk, data=chunk.data[skip:]))
    return tuple(before), replace(recording, chunks=tuple(behind))
