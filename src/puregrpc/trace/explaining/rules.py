"""The rules that the parts of a gRPC conversation serve: document, section, and what it says in one sentence."""

from __future__ import annotations

from puregrpc.trace.records import Rule

__all__ = ["ALL", "grpc", "h2", "hpack", "http", "protobuf"]

H2_URL = "https://www.rfc-editor.org/rfc/rfc9113#section-"
HPACK_URL = "https://www.rfc-editor.org/rfc/rfc7541#"
GRPC_URL = "https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md"
PROTOBUF_URL = "https://protobuf.dev/programming-guides/encoding/"

H2_SAYS = {
    "3.4": "A client opens the connection with a fixed text that no HTTP/1 server can mistake for a request; "
    "each side's first frame is SETTINGS.",
    "4.1": "Every frame begins with 9 octets: length (24 bits), type (8), flags (8), one reserved bit, stream (31).",
    "4.2": "A frame's payload is at most SETTINGS_MAX_FRAME_SIZE of its receiver: 16,384 octets until it says more.",
    "4.3": "A header block is one unit, in HEADERS or PUSH_PROMISE and the CONTINUATIONs right after; both sides keep "
    "the same compression table, so every block must be decoded, in order.",
    "5.1": "A stream goes from idle to open, to half-closed when one side has ended, to closed.",
    "5.1.1": "A client opens streams with odd numbers, each higher than the last; 0 is the connection itself.",
    "5.2": "DATA is sent only as far as the receiver's windows, of the stream and of the connection, allow.",
    "5.5": "Frames of a type that the receiver does not know are ignored.",
    "6.1": "DATA carries octets of a stream; padding may hide how many. All of the payload counts for flow control.",
    "6.2": "HEADERS opens a stream or ends it with trailers, and carries a header block.",
    "6.3": "PRIORITY is deprecated: it names a stream's parent and weight, and receivers may ignore it.",
    "6.4": "RST_STREAM ends a stream at once and says why.",
    "6.5": "SETTINGS says how its sender wants to be spoken to; it belongs to the connection (stream 0).",
    "6.5.1": "SETTINGS is a list of 6-octet entries: a 16-bit identifier and a 32-bit value.",
    "6.5.2": "The settings that HTTP/2 defines, with their limits.",
    "6.5.3": "The receiver applies SETTINGS and answers with an empty SETTINGS that has the ACK flag.",
    "6.6": "PUSH_PROMISE announces a response nobody asked for; gRPC does not use it.",
    "6.7": "PING must be answered with the same 8 octets and the ACK flag; gRPC uses it for keepalive.",
    "6.8": "GOAWAY ends a connection in good order: streams up to the last stream number are still served.",
    "6.9": "WINDOW_UPDATE gives the peer leave to send that many more octets of DATA (1 to 2^31-1).",
    "6.9.1": "A window never grows beyond 2^31-1 and DATA never exceeds it.",
    "6.9.2": "Every window starts at 65,535; SETTINGS_INITIAL_WINDOW_SIZE changes that of the streams.",
    "6.10": "CONTINUATION goes on with a header block; nothing else may come in between.",
    "7": "Error codes say why a stream or the connection was ended.",
    "8.1": "A message is HEADERS, any number of DATA, and possibly HEADERS with END_STREAM as trailers.",
    "8.2.1": "Field names are lower case, and names and values hold no control characters.",
    "8.2.2": "Fields that concern the connection (connection, keep-alive, te but for trailers) are not allowed.",
    "8.3": "Control data is in pseudo-header fields, which begin with a colon and come before all others.",
    "8.3.1": "A request has :method, :scheme and :path, each once, and commonly :authority.",
    "8.3.2": "A response has one pseudo-header field, :status.",
}

HPACK_SAYS = {
    ("section-2.3.2", "2.3.2"): "Both sides keep a table of fields seen in this direction; the newest has index 62.",
    ("section-2.3.3", "2.3.3"): "Indices 1 to 61 are the static table, higher ones the dynamic table.",
    ("section-4.1", "4.1"): "A table entry counts as the octets of its name and value, plus 32.",
    ("section-4.2", "4.2"): "The table's size may be changed at the start of a block, up to what the decoder allows.",
    ("section-4.3", "4.3"): "When the table gets smaller, the oldest entries leave it.",
    ("section-4.4", "4.4"): "Before an entry is added, the oldest ones leave until it fits.",
    ("section-5.1", "5.1"): "An integer fills the rest of its octet; if that is all ones, octets of 7 bits follow.",
    ("section-5.2", "5.2"): "A string is a length, with the first bit for Huffman coding, and its octets.",
    ("section-6.1", "6.1"): "First bit 1: the whole field is the table's entry with this index.",
    ("section-6.2.1", "6.2.1"): "First bits 01: a literal field, which is also added to the dynamic table.",
    ("section-6.2.2", "6.2.2"): "First bits 0000: a literal field, which is not added to the table.",
    ("section-6.2.3", "6.2.3"): "First bits 0001: a literal that no one on the way may ever index: a secret.",
    ("section-6.3", "6.3"): "First bits 001: from here on the dynamic table has this maximum size.",
    (
        "section-7.3",
        "7.3",
    ): "Few octets may stand for many: a decoder limits the memory that a header list takes.",
    ("appendix-A", "A"): "The static table: 61 fields that are common in HTTP.",
    ("appendix-B", "B"): "The Huffman code: short codes for the octets that are common in fields.",
}

GRPC_SAYS = {
    "Requests": ("requests", "A request is request headers, length-prefixed messages, and the end of the stream."),
    "Call-Definition": ("requests", ("Method, scheme, path, te, and possibly authority, timeout and encodings: "
                        "what a call is about stands before its custom metadata.")),
    "Path": ("requests", "The path is /, the service's full name, /, the method's name."),
    "Method": ("requests", "Every gRPC request is a POST."),
    "Scheme": ("requests", "http or https; it says nothing about the call."),
    "Authority": ("requests", "The virtual host that the call is meant for."),
    "TE": ("requests", "te: trailers is there to find proxies that would lose the trailers."),
    "Timeout": ("requests", "The deadline, as time left: up to 8 digits and a unit: H, M, S, m (ms), u (µs), n."),
    "Content-Type": ("requests", "application/grpc, possibly with + and the message format (proto, json)."),
    "Message-Encoding": ("requests", "What the messages are compressed with, those that have the flag set."),
    "Message-Accept-Encoding": ("requests", "What the peer may compress its messages with."),
    "User-Agent": ("user-agents", "The client library, its version, and what it runs on."),
    "Custom-Metadata": ("requests", "Metadata of the application; names that begin with grpc- are gRPC's own."),
    "Binary-Header": ("requests", "Names that end in -bin carry any octets, written in base64."),
    "Length-Prefixed-Message": ("requests", ("Each message is preceded by 5 octets: a compressed flag and its length, "
                                "32 bits, most significant octet first.")),
    "Compressed-Flag": ("requests", "1: the message is compressed as grpc-encoding says; 0: it is not."),
    "Data Frames": ("data-frames", ("DATA frames have no relation to messages: a message may be in several frames, "
                    "a frame may hold several messages.")),
    "EOS": ("requests", "The client ends its side with END_STREAM, possibly on an empty DATA frame."),
    "Responses": ("responses", "A response is response headers, messages and trailers; or trailers only."),
    "HTTP-Status": ("responses", "Every gRPC response has :status 200; how the call went is in grpc-status."),
    "Status": ("responses", "The status of the call, 0 to 16 in decimal; it stands in the trailers."),
    "Status-Message": ("responses", "The status in words, percent-encoded UTF-8."),
    "Status-Details": ("responses", "A google.rpc.Status message with details of the error."),
    "Trailers": ("responses", "The last HEADERS of a response carry the status and end the stream."),
    "Stream Identification": ("stream-identification", "One HTTP/2 stream is one call; its number is the call's id."),
    "Errors": ("errors", "When a stream is reset or fails in HTTP/2, the client makes a status of the error code."),
    "Connection Management": ("connection-management", "GOAWAY says that no new call is taken; open ones go on."),
    "Ping": ("ping-frame", "PING shows that the peer is still there."),
}  # fmt: skip

PROTOBUF_SAYS = {
    "Message Structure": ("structure", "A message is a series of fields; each begins with a tag: number, wire type."),
    "Base 128 Varints": ("varints", "7 bits an octet, least significant first; the top bit says that more follow."),
    "Signed Integers": ("signed-ints", "intN: two's complement in 64 bits; sintN: zigzag, so that -1 is 1 and 1 is 2."),
    "Non-varint Numbers": ("non-varints", "fixed32, fixed64, float, double: 4 or 8 octets, least significant first."),
    "Length-Delimited Records": ("length-types", "A varint length and that many octets: text, bytes, a message."),
    "Packed Repeated Fields": ("packed", "A repeated number: one length, then the elements without tags."),
    "Maps": ("maps", "A map is a repeated message with the key as field 1 and the value as field 2."),
    "Groups": ("groups", "A start tag, fields, and an end tag with the same number."),
}  # fmt: skip

HTTP = Rule(
    "RFC 9110",
    "section 6.3",
    "A field of HTTP itself; gRPC gives it no meaning.",
    "https://www.rfc-editor.org/rfc/rfc9110#section-6.3",
)

CONNECT = Rule(
    "RFC 9110",
    "section 9.3.6",
    "CONNECT asks a proxy for a tunnel; after a response of 2xx each side's octets go through it as they are.",
    "https://www.rfc-editor.org/rfc/rfc9110#section-9.3.6",
)
UPGRADE = Rule(
    "RFC 7540",
    "section 3.2",
    "Upgrade: h2c asks a server to go on in HTTP/2 without TLS; 101 says so. RFC 9113 has given this up.",
    "https://www.rfc-editor.org/rfc/rfc7540#section-3.2",
)

GRPC_WEB = Rule(
    "gRPC PROTOCOL-WEB",
    '"Trailers"',
    "Messages as in gRPC; the trailers are the last of them, marked by the top bit of its flag, as lines of HTTP/1.",
    "https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-WEB.md",
)
CONNECT_PROTOCOL = Rule(
    "Connect protocol",
    '"Streaming RPCs"',
    "A unary call has the bare message as its body; a stream has enveloped ones, the last of them JSON (flag 2).",
    "https://connectrpc.com/docs/protocol",
)

_H2 = {section: Rule("RFC 9113", f"section {section}", says, H2_URL + section) for section, says in H2_SAYS.items()}
_HPACK = {
    section: Rule(
        "RFC 7541",
        f"section {section}" if section[0].isdigit() else f"appendix {section}",
        says,
        HPACK_URL + anchor,
    )
    for (anchor, section), says in HPACK_SAYS.items()
}
_GRPC = {
    name: Rule("gRPC PROTOCOL-HTTP2", f'"{name}"', says, f"{GRPC_URL}#{anchor}")
    for name, (anchor, says) in GRPC_SAYS.items()
}
_PROTOBUF = {
    name: Rule("protobuf encoding", f'"{name}"', says, f"{PROTOBUF_URL}#{anchor}")
    for name, (anchor, says) in PROTOBUF_SAYS.items()
}

_OTHERS = (HTTP, CONNECT, UPGRADE, GRPC_WEB, CONNECT_PROTOCOL)

ALL = (*_H2.values(), *_HPACK.values(), *_GRPC.values(), *_PROTOBUF.values(), *_OTHERS)
"""Every rule that an explanation can name."""


def h2(section: str) -> Rule:
    """A section of RFC 9113 (HTTP/2)."""
    return _H2[section]


def hpack(section: str) -> Rule:
    """A section of RFC 7541 (HPACK)."""
    return _HPACK[section]


def grpc(name: str) -> Rule:
    """A rule of gRPC's PROTOCOL-HTTP2 document, by the name that it has there."""
    return _GRPC[name]


def protobuf(name: str) -> Rule:
    """A section of protobuf's description of its encoding."""
    return _PROTOBUF[name]


def grpc_web() -> Rule:
    """How gRPC-Web writes messages and trailers."""
    return GRPC_WEB


def connect() -> Rule:
    """How the Connect protocol writes messages."""
    return CONNECT_PROTOCOL


def http_connect() -> Rule:
    """How HTTP/1.1 opens a tunnel."""
    return CONNECT


def http_upgrade() -> Rule:
    """How HTTP/1.1 goes over into HTTP/2."""
    return UPGRADE


def http() -> Rule:
    """HTTP's own rules for fields that gRPC does not speak of."""
    return HTTP
