"""The header lists of a call: requests, responses, trailers (PROTOCOL-HTTP2, "Requests" and "Responses")."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from puregrpc.errors import InvalidArgument, RemoteProtocolError
from puregrpc.wire.compression import CODINGS, accept_encoding_value, coding_for, parse_accept_encoding
from puregrpc.wire.connection import Request
from puregrpc.wire.deadline import encode_timeout, parse_timeout
from puregrpc.wire.limits import MAX_GRPC_MESSAGE_SIZE, READ_FIELDS
from puregrpc.wire.metadata import (
    RESERVED,
    HeaderField,
    Metadata,
    decode_field,
    encode_metadata,
    header_list_size,
)
from puregrpc.wire.status import (
    Status,
    StatusCode,
    encode_grpc_message,
    status_from_http,
    status_from_trailers,
)

__all__ = [
    "NO_PSEUDO",
    "KnownFields",
    "Refusal",
    "ResponseHead",
    "Trailers",
    "check_fields",
    "fit_trailers",
    "foreign_failure",
    "parse_request",
    "parse_response",
    "parse_trailers",
    "request_fields",
    "response_fields",
    "timeout_field",
    "trailer_fields",
]

CONTENT_TYPE = b"application/grpc"

UNBOUNDED = 2**62

_PATH = re.compile(r"[!-~]+")
_AUTHORITY = re.compile(r"[!-~]*")
_SUBTYPE = re.compile(r"[0-9A-Za-z!#$%&'*+.^_`|~-]*")
_FIELD_NAME = re.compile(rb":?[!-9;-@[-~]+")
_FIELD_VALUE_FAULT = re.compile(rb"[\x00\r\n]")
_CONNECTION_SPECIFIC = frozenset((b"connection", b"keep-alive", b"proxy-connection", b"transfer-encoding", b"upgrade"))
_REQUEST_PSEUDO = frozenset((b":method", b":scheme", b":path", b":authority"))
_RESPONSE_PSEUDO = frozenset((b":status",))
NO_PSEUDO: frozenset[bytes] = frozenset()
"""For trailers: they have no pseudo-header fields (RFC 9113, section 8.1)."""
_SHOWN = frozenset((b"content-type", b"grpc-encoding", b"grpc-accept-encoding"))
"""Reserved fields that the initial metadata of a response shows all the same, as grpc-go's does. Trailers show none: in
a trailers-only response they are HTTP's own."""


# -- RFC 9113


class KnownFields:
    """What is known of the fields of a long header list: they are looked at in steps, before the list is read."""

    __slots__ = ("block_size", "entries", "sound")

    def __init__(self, block_size: int = 0) -> None:
        self.block_size = block_size
        """The octets of the block that the list comes in."""
        self.entries: dict[HeaderField, list[tuple[str, str | bytes]]] = {}
        """What custom metadata say, by their fields."""
        self.sound: set[HeaderField] = set()
        """The fields with which nothing is wrong, pseudo-header fields apart."""

    def learn(self, fields: Iterable[HeaderField]) -> Iterator[None]:
        """Look at fields, a step after every few of them. Faults show when the list is read."""
        for number, field in enumerate(fields):
            if not number % READ_FIELDS:
                yield
            if field in self.sound:
                continue
            try:
                check_fields((field,), NO_PSEUDO)
                if field[0] not in RESERVED:
                    self.entries[field] = decode_field(*field)
            except RemoteProtocolError:
                continue
            self.sound.add(field)


def check_fields(
    fields: Sequence[HeaderField], pseudo: frozenset[bytes], known: KnownFields | None = None
) -> dict[bytes, bytes]:
    """Hold a header list against RFC 9113, sections 8.2 and 8.3, and give its pseudo-header fields.

    White space around a value is let pass: grpc-go and others send it in grpc-message, as it is in the message.
    Raises RemoteProtocolError for a malformed one: the stream is to be reset with PROTOCOL_ERROR.
    """
    found: dict[bytes, bytes] = {}
    regular = False
    checked: set[HeaderField] = set() if known is None else known.sound
    for field in fields:
        if field in checked:  # a peer may have four hundred in a block, of an octet each
            regular = True
            continue
        name, value = field
        if not _FIELD_NAME.fullmatch(name):
            raise RemoteProtocolError(f"malformed header field name {_shown(name)}")
        if value and _FIELD_VALUE_FAULT.search(value):
            raise RemoteProtocolError(f"malformed value of header field {_shown(name)}")
        if name.startswith(b":"):
            if regular or name in found or name not in pseudo:
                raise RemoteProtocolError(f"pseudo-header field {_shown(name)} is unknown, misplaced or repeated")
            found[name] = value
            continue
        regular = True
        checked.add((name, value))
        if name in _CONNECTION_SPECIFIC:
            raise RemoteProtocolError(f"connection-specific header field {_shown(name)}")
        if name == b"te" and value.lower() != b"trailers":
            raise RemoteProtocolError("the te header field may only say trailers")
    return found


def foreign_failure(failure: Status, body: bytes) -> Status:
    """The status of a response that is not gRPC's, with the beginning of its body for the reader."""
    text = " ".join(body.decode("utf-8", "replace").split())
    return replace(failure, message=f"{failure.message}: {text}") if text else failure


def _shown(octets: bytes) -> str:
    return repr(octets[:64].decode("ascii", "backslashreplace"))


# -- requests


def request_fields(
    request: Request, *, scheme: str, user_agent: str, accept_encodings: tuple[str, ...]
) -> list[HeaderField]:
    """The header list of a request, all but grpc-timeout, which is worked out when the headers are sent.

    Raises InvalidArgument for a path, an authority, an encoding or metadata that cannot be sent.
    """
    if not _PATH.fullmatch(request.path):
        raise InvalidArgument(f"method {request.path!r} is not printable ASCII, such as '/package.Service/Method'")
    if not _AUTHORITY.fullmatch(request.authority):
        raise InvalidArgument(f"authority {request.authority!r} is not printable ASCII without spaces")
    if not _SUBTYPE.fullmatch(request.content_subtype):
        raise InvalidArgument(f"content subtype {request.content_subtype!r} is not a token")
    fields = [
        (b":method", b"POST"),
        (b":scheme", scheme.encode()),
        (b":path", request.path.encode()),
        (b":authority", request.authority.encode()),
        (b"te", b"trailers"),
        (b"content-type", _content_type(request.content_subtype)),
    ]
    if user_agent:
        fields.append((b"user-agent", user_agent.encode("ascii", "replace")))
    if request.encoding != "identity":
        fields.append((b"grpc-encoding", coding_for(request.encoding).name.encode()))
    if accept_encodings:
        fields.append((b"grpc-accept-encoding", accept_encoding_value(accept_encodings)))
    if request.metadata:
        fields += encode_metadata(request.metadata)
    return fields


def timeout_field(seconds: float) -> HeaderField:
    """The grpc-timeout header field."""
    return b"grpc-timeout", encode_timeout(seconds)


def _content_type(subtype: str) -> bytes:
    return b"%s+%s" % (CONTENT_TYPE, subtype.encode()) if subtype else CONTENT_TYPE


def _subtype_of(content_type: bytes | None) -> str | None:
    """What follows ``application/grpc+``, empty if nothing does; None if it is not gRPC's content-type."""
    if content_type is None:
        return None
    media_type = content_type.split(b";", 1)[0].strip().lower()
    if media_type == CONTENT_TYPE:
        return ""
    if media_type.startswith(CONTENT_TYPE + b"+"):
        return media_type[len(CONTENT_TYPE) + 1 :].decode("latin-1")
    return None


@dataclass(frozen=True, slots=True)
class Refusal:
    """A request that the server answers by itself: with an HTTP status and a text, or else with a gRPC status."""

    http_status: int = 200
    text: str = ""
    status: Status | None = None
    fields: tuple[HeaderField, ...] = ()

    def header_fields(self) -> list[HeaderField]:
        """The response header fields; they end the stream if ``status`` is given, else ``text`` follows."""
        if self.status is not None:
            return [*trailer_fields(self.status, (), headers_too=True), *self.fields]
        return [
            (b":status", b"%d" % self.http_status),
            (b"content-type", b"text/plain; charset=utf-8"),
            (b"content-length", b"%d" % len(self.text.encode())),
            *self.fields,
        ]


def headers_too_large(what: str, most: int) -> Status:
    """The status of a call whose request or response (``what``) has more metadata than this side takes."""
    problem = f"the {what}'s metadata take more than the {most} bytes that max_header_list_size allows"
    return Status(StatusCode.RESOURCE_EXHAUSTED, problem)


def refusal_of_large(fields: Sequence[HeaderField], most: int) -> Refusal:
    """The answer to a request with too large a header list, of which not all ``fields`` may be there."""
    is_grpc = any(name == b"content-type" and _subtype_of(value) is not None for name, value in fields)
    if is_grpc:
        return Refusal(status=headers_too_large("request", most))
    return Refusal(431, "the request's headers are too large\n")


def parse_request(fields: Sequence[HeaderField], known: KnownFields | None = None) -> Request | Refusal:
    """Read a request's header list (in the server). Raises RemoteProtocolError for a malformed one.

    What is sound HTTP but no gRPC request comes back as a Refusal: 405 unless it is a POST, 415 unless the
    content-type is gRPC's, 400 for a Host at odds with :authority; a gRPC status for a broken grpc-timeout or
    metadata (INTERNAL) and for a grpc-encoding that is not at hand (UNIMPLEMENTED, with the list of those that are).
    """
    pseudo = check_fields(fields, _REQUEST_PSEUDO, known)
    method = pseudo.get(b":method")
    if method is None or (method != b"CONNECT" and not (pseudo.get(b":path") and pseudo.get(b":scheme"))):
        raise RemoteProtocolError("a request lacks :method, :scheme or :path")
    if method != b"POST":
        text = "" if method == b"HEAD" else "gRPC requests are POSTs\n"
        return Refusal(405, text, fields=((b"allow", b"POST"),))
    content_type = host = timeout = encoding = accept = None
    user_agent = b""
    custom: deque[HeaderField] = deque()
    for field in fields:
        name, value = field
        if name not in RESERVED:
            custom.append(field)
        elif name == b"content-type":
            content_type = value
        elif name == b"grpc-timeout":
            timeout = value
        elif name == b"grpc-encoding":
            encoding = value
        elif name == b"grpc-accept-encoding":
            accept = value if accept is None else accept + b"," + value
        elif name == b"user-agent":
            user_agent = value
        elif name == b"host":
            if host is not None:
                return Refusal(400, "more than one Host header field\n")
            host = value
    authority = pseudo.get(b":authority", host or b"")
    if host is not None and host != authority:
        return Refusal(400, "the Host header field is at odds with :authority\n")
    subtype = _subtype_of(content_type)
    if subtype is None:
        return Refusal(415, "gRPC requests have a content-type that begins with application/grpc\n")
    try:
        request = Request(
            path=pseudo[b":path"].decode("latin-1"),
            authority=authority.decode("latin-1"),
            metadata=_decode_metadata(custom, known),
            timeout=None if timeout is None else parse_timeout(timeout),
            accept_encodings=() if accept is None else parse_accept_encoding(accept),
            content_subtype=subtype,
            user_agent=user_agent.decode("latin-1"),
        )
    except RemoteProtocolError as error:
        return Refusal(status=Status(StatusCode.INTERNAL, str(error)))
    if encoding is not None:
        request.encoding = encoding.decode("latin-1")
        if request.encoding not in CODINGS:
            return Refusal(
                status=Status(
                    StatusCode.UNIMPLEMENTED,
                    f"grpc-encoding {_shown(encoding)} is not supported; there are {', '.join(CODINGS)}",
                ),
                fields=((b"grpc-accept-encoding", accept_encoding_value(tuple(CODINGS))),),
            )
    return request


class BodyLength:
    """Holds the octets that come against what content-length says: RFC 9113, section 8.1.1, makes the message that they
    are not as many of malformed. Raises RemoteProtocolError: the stream is to be reset with PROTOCOL_ERROR."""

    __slots__ = ("_left",)

    def __init__(self, announced: int) -> None:
        self._left = announced

    def came(self, octets: int) -> None:
        """So many octets have come."""
        self._left -= octets
        if self._left < 0:
            raise RemoteProtocolError("more octets than content-length says")

    def ended(self) -> None:
        """No more will come."""
        if self._left:
            raise RemoteProtocolError("fewer octets than content-length says")


def read_content_length(fields: Sequence[HeaderField]) -> int | None:
    """What content-length says, if there is one. Raises RemoteProtocolError if it says no number."""
    found: int | None = None
    for name, value in fields:
        if name == b"content-length":
            if not value.isdigit() or len(value) > 18 or (found is not None and found != int(value)):
                raise RemoteProtocolError("a malformed content-length")
            found = int(value)
    return found


# -- responses


def response_fields(
    metadata: Metadata, *, encoding: str, content_subtype: str, accept_encodings: tuple[str, ...]
) -> list[HeaderField]:
    """The header list of a response that messages follow. Raises InvalidArgument."""
    fields = [(b":status", b"200"), (b"content-type", _content_type(content_subtype))]
    if encoding != "identity":
        fields.append((b"grpc-encoding", coding_for(encoding).name.encode()))
    if accept_encodings:
        fields.append((b"grpc-accept-encoding", accept_encoding_value(accept_encodings)))
    if metadata:
        fields += encode_metadata(metadata)
    return fields


class Trailers(NamedTuple):
    """Trailers as far as they fit."""

    fields: list[HeaderField]
    """Empty if not even grpc-status fits."""
    left_out: str = ""
    """What does not fit, in words; empty if all does."""


def fit_trailers(
    status: Status, metadata: Metadata, most: int | None, *, headers_too: bool = False, content_subtype: str = ""
) -> Trailers:
    """Trailers (with ``headers_too`` a trailers-only response) in a header list of ``most`` octets (None: any size).

    The status' details come first if it is tight, then its message, which is shortened, then metadata, which go as a
    whole or not at all. Raises InvalidArgument for metadata that cannot be sent.
    """
    custom = encode_metadata(metadata) if metadata else []
    fields: list[HeaderField] = []
    if headers_too:
        fields += ((b":status", b"200"), (b"content-type", _content_type(content_subtype)))
    fields.append((b"grpc-status", b"%d" % status.code))
    room = UNBOUNDED if most is None else most - header_list_size(fields)
    if room < 0:
        return Trailers([], "the status")
    left_out: list[str] = []
    details: list[HeaderField] = []
    if status.details is not None:
        details = [(b"grpc-status-details-bin", _base64(status.details))]
        if header_list_size(details) > room:
            details = []
            left_out.append("the status' details")
        room -= header_list_size(details)
    if status.message:
        limit = min(room - header_list_size([(b"grpc-message", b"")]), MAX_GRPC_MESSAGE_SIZE)
        value = encode_grpc_message(status.message[:MAX_GRPC_MESSAGE_SIZE], UNBOUNDED)
        if len(status.message) > MAX_GRPC_MESSAGE_SIZE or len(value) > limit:
            value = encode_grpc_message(status.message, limit)
            left_out.append("a part of the status' message")
        if value:
            fields.append((b"grpc-message", value))
            room -= header_list_size(fields[-1:])
    fields += details
    if header_list_size(custom) <= room:
        fields += custom
    else:
        left_out.append("the trailing metadata")
    return Trailers(fields, ", ".join(left_out))


def trailer_fields(
    status: Status, metadata: Metadata, *, headers_too: bool = False, content_subtype: str = ""
) -> list[HeaderField]:
    """The trailers of whatever size, but for grpc-message; see `fit_trailers`."""
    return fit_trailers(status, metadata, None, headers_too=headers_too, content_subtype=content_subtype).fields


def _base64(octets: bytes) -> bytes:
    return encode_metadata((("x-bin", octets),))[0][1]


@dataclass(frozen=True, slots=True)
class ResponseHead:
    """What a response's first header list says."""

    metadata: Metadata = ()
    encoding: str = "identity"
    failure: Status | None = None
    """Why the response is none of gRPC's; None if it is one."""
    content_length: int | None = None


def parse_response(fields: Sequence[HeaderField], known: KnownFields | None = None) -> ResponseHead | None:
    """Read a response's header list that does not end the stream (in the client); None for a 1xx response.

    Raises RemoteProtocolError for a malformed one.
    """
    pseudo = check_fields(fields, _RESPONSE_PSEUDO, known)
    http_status = _http_status(pseudo)
    if 100 <= http_status < 200:
        return None
    content_type = encoding = None
    for name, value in fields:
        if name == b"content-type":
            content_type = value
        elif name == b"grpc-encoding":
            encoding = value
    try:
        shown = [field for field in fields if field[0] not in RESERVED or field[0] in _SHOWN]
        metadata = _decode_metadata(shown, known)
    except RemoteProtocolError as error:
        return ResponseHead(failure=Status(StatusCode.INTERNAL, str(error)))
    failure = _http_failure(http_status, content_type)
    length = None if failure is not None else read_content_length(fields)
    return ResponseHead(metadata, "identity" if encoding is None else encoding.decode("latin-1"), failure, length)


def parse_trailers(
    fields: Sequence[HeaderField], *, first: bool, known: KnownFields | None = None
) -> tuple[Status, Metadata]:
    """Read the header list that ends a response (in the client): trailers, or with ``first`` a trailers-only response.

    In a trailers-only response grpc-status counts, if it is there, over the HTTP status. Metadata that is damaged
    turns OK into INTERNAL. Raises RemoteProtocolError for a malformed list.
    """
    pseudo = check_fields(fields, _RESPONSE_PSEUDO if first else NO_PSEUDO, known)
    grpc_status = grpc_message = details = content_type = None
    for name, value in fields:
        if name == b"grpc-status":
            grpc_status = value
        elif name == b"grpc-message":
            grpc_message = value
        elif name == b"grpc-status-details-bin":
            details = value
        elif name == b"content-type":
            content_type = value
    status = status_from_trailers(grpc_status, grpc_message, details)
    if first:
        http_status = _http_status(pseudo)
        if http_status < 200:  # RFC 9113, section 8.1: that would end the stream without a response
            raise RemoteProtocolError(f"an informational response ({http_status}) that ends the stream")
        failure = _http_failure(http_status, content_type)
        if failure is None:
            BodyLength(read_content_length(fields) or 0).ended()
        elif grpc_status is None or _subtype_of(content_type) is None:
            status = failure
    try:
        return status, _decode_metadata([field for field in fields if field[0] not in RESERVED], known)
    except RemoteProtocolError as error:
        return (replace(status, code=StatusCode.INTERNAL, message=str(error)) if status.code == 0 else status), ()


def _http_status(pseudo: dict[bytes, bytes]) -> int:
    value = pseudo.get(b":status", b"")
    if len(value) != 3 or not value.isdigit():
        raise RemoteProtocolError("a response lacks a :status of three digits")
    return int(value)


def _http_failure(http_status: int, content_type: bytes | None) -> Status | None:
    """The status of a response that is not gRPC's (http-grpc-status-mapping.md); None if it is."""
    is_grpc = _subtype_of(content_type) is not None
    if is_grpc and http_status == 200:
        return None
    if is_grpc:
        problem = f"unexpected HTTP status {http_status} from the server"
    elif content_type is None:
        problem = f"not a gRPC response: HTTP status {http_status}, no content-type"
    else:
        problem = f"not a gRPC response: HTTP status {http_status}, content-type {_shown(content_type)}"
    return Status(status_from_http(http_status), problem)


def _decode_metadata(fields: Collection[HeaderField], known_fields: KnownFields | None = None) -> Metadata:
    if not fields:
        return ()
    metadata: deque[tuple[str, str | bytes]] = deque()
    known = {} if known_fields is None else known_fields.entries
    for field in fields:
        entries = known.get(field)
        if entries is None:
            entries = known[field] = decode_field(*field)
        metadata += entries
    return tuple(metadata)
