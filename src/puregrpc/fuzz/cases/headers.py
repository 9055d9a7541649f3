"""Requests whose header fields are odd: legal ones that servers seldom see, and ones that no sound client sends.

(PROTOCOL-HTTP2, "Requests"; RFC 9113, section 8)
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from dataclasses import replace

from puregrpc.codec.wire_format.tags_and_varints import tag_bytes, varint
from puregrpc.fuzz.cases.case import Case, Expectation, Step
from puregrpc.fuzz.frames.probe import Fields, message

__all__ = ["header_cases", "metadata_cases", "request_fields", "two_hosts", "without_deadline"]

SEVERE = "CVE-2026-33186 (grpc-go); PROTOCOL-HTTP2, Requests"


def request_fields(
    path: str, authority: str, *, scheme: str = "http", timeout: str = "", more: Fields = (), encoding: str = ""
) -> Fields:
    """The header fields of an ordinary call."""
    fields: Fields = (
        (b":method", b"POST"), (b":scheme", scheme.encode()), (b":path", path.encode()), (b":authority", authority.encode()),
        (b"te", b"trailers"), (b"content-type", b"application/grpc"),
    )  # fmt: skip
    if timeout:
        fields += ((b"grpc-timeout", timeout.encode()),)
    if encoding:
        fields += ((b"grpc-encoding", encoding.encode()),)
    return fields + more


def _with(fields: Fields, name: bytes, value: bytes) -> Fields:
    if any(each == name for each, _ in fields):
        return tuple((each, value if each == name else content) for each, content in fields)
    return (*fields, (name, value))


def _without(fields: Fields, name: bytes) -> Fields:
    return tuple(each for each in fields if each[0] != name)


def two_hosts(fields: Fields) -> Fields:
    """The fields with two hosts in place of an authority (RFC 9113, section 8.3.1)."""
    return (*_without(fields, b":authority"), (b"host", b"a"), (b"host", b"b"))


TIMEOUTS = (
    b"", b"1", b"S", b"1s", b"-1S", b"1.5S", b" 1S", b"1S ", b"0S", b"0n", b"1n", b"1u", b"99999999H", b"99999999S",
    b"100000000S", b"999999999999999999999999H", b"9" * 1000 + b"S", b"1x", b"S1", b"\xd9\xa1S", b"+1S", b"0x1S",
    b"1e3S", b"00000001S", b"2147483648S", b"18446744073709551616n", b"9223372036854775807n",
)  # fmt: skip
CONTENT_TYPES = (
    b"", b"application/grpc;charset=utf-8", b"application/grpc+json", b"application/grpc+", b"application/grpc+\xff",
    b"application/grpcx", b"application/grpc-web", b"application/grpc-web-text", b"application/json", b"text/plain",
    b"APPLICATION/GRPC", b"application/grpc, application/grpc", b"a" * 8000, b"application/grpc+proto;;;=",
)  # fmt: skip
METHODS = (b"GET", b"PUT", b"HEAD", b"OPTIONS", b"CONNECT", b"TRACE", b"post", b"", b"PO ST", b"A" * 5000)
AUTHORITIES = (b"", b"user@host", b"a" * 5000, b"[::1", b"host:99999", b"h\x00st", b"../", b"\xff", b"a,b", b"%00")
NO_GZIP = ("gzip that is cut", "gzip with a wrong checksum", "a gzip header alone", "zlib named gzip")
NOT_THIS_WAY = (b"br", b"zstd", b"snappy")
"""Encodings of which an ordinary message is none."""
ENCODINGS = (
    b"",
    b"gzip",
    b"deflate",
    b"br",
    b"zstd",
    b"identity",
    b"snappy",
    b"none",
    b"gzip,gzip",
    b"\xff",
    b"x" * 5000,
)
NAMES = (
    b"authorization", b"x-request-id", b"x-api-key", b"x-user-id", b"x-user", b"user-id", b"x-tenant-id", b"tenant",
    b"x-session-id", b"session", b"token", b"x-token", b"x-auth-token", b"x-role", b"role", b"x-admin", b"cookie",
    b"x-trace-id", b"traceparent", b"x-forwarded-for", b"x-real-ip", b"x-priority", b"x-limit", b"x-page-size", b"x-retry",
    b"x-timeout", b"x-deadline", b"x-version", b"x-client-version", b"accept-language", b"x-locale", b"user-agent",
    b"x-debug", b"debug", b"x-count", b"grpc-previous-rpc-attempts", b"content-length", b"x-correlation-id", b"if-match",
    b"x-idempotency-key", b"x-signature", b"x-timestamp", b"range", b"x-b3-traceid", b"host",
)  # fmt: skip
VALUES = (
    b"", b"1", b"-1", b"a", b"a=b", b"Bearer", b"Bearer ", b"Bearer a.b.c", b"Basic", b"Basic !", b"Basic YQ==",
    b"99999999999999999999", b"a" * 4000, b"%", b"{}", b"\xc3\xa9", b"00-0-0-0", b"a:b", b"a, b", b"\x7f",
)  # fmt: skip
RESERVED = {b"content-length", b"host", b"cookie", b"range", b"grpc-previous-rpc-attempts"}
"""Names that mean something to those who carry the call: their values are not anybody's."""
ONCE = {b"authorization", b"user-agent", b"if-match"}
"""Names that come once in a call (RFC 9110): twice they are nothing that a sound client sends."""
LONG_TIMEOUTS = (b"99999999H", b"99999999S", b"00000001S")
"""As long as a grpc-timeout may be, and one with zeros in front (PROTOCOL-HTTP2, Requests)."""
BOMB = 64 << 20
BOMB_SECONDS = 15
"""Who inflates it all takes a while."""
PLAIN_VALUES = 4
"""So many of them are tried with every name, before what is odd."""
BINARY_NAMES = (
    b"grpc-trace-bin",
    b"grpc-tags-bin",
    b"x-bin",
    b"user-bin",
    b"token-bin",
    b"context-bin",
    b"grpc-status-details-bin",
)
LEGAL_BINARY = (b"/wD+", b"", b"YQ")
BINARY_VALUES = (
    b"",
    b"YQ==",
    b"YQ",
    b"Y",
    b"!",
    b"====",
    b"YQ,YQ",
    b"YQ==,YQ==",
    b"\xff",
    b"A" * 4001,
    b"Y Q",
    b"AAAA" * 1000,
)


def odd_paths(path: str) -> list[tuple[str, bytes, Expectation]]:
    """Paths that are near to a method's."""
    bare = path.removeprefix("/")
    service, _, method = bare.rpartition("/")
    text: list[tuple[str, str]] = [
        ("a path with two slashes in front", "//" + bare), ("a path with a slash behind it", path + "/"),
        ("a path with two slashes inside", f"/{service}//{method}"), ("an empty path", ""), ("a path of a slash", "/"),
        ("the path *", "*"), ("a path without a method", f"/{service}/"), ("a path without a service", f"//{method}"),
        ("a path without slashes", bare.replace("/", "")), ("a path of the service alone", f"/{service}"),
        ("a path with a query", path + "?a=1"), ("a path with a fragment", path + "#a"),
        ("a path with a percent sign", path.replace(".", "%2E")), ("a path whose slash is coded", f"/{service}%2F{method}"),
        ("a path with a dot segment", f"/./{bare}"), ("a path with two dots", f"/a/../{bare}"), ("a path in capitals", path.upper()),
        ("a path in small letters", path.lower()), ("a path that is a URL", f"http://localhost{path}"),
        ("a path with a space", path + " "), ("a path with a zero octet", path + "\x00"), ("a path of a line end", path + "\n"),
        ("an unknown method", f"/{service}/No{method}"), ("an unknown service", f"/no.{service}/{method}"),
        ("a long path", "/" + "a" * 8000), ("a path of slashes", "/" * 4000), ("a path of dots", f"/{'.' * 2000}/{method}"),
        ("a path with %s", "/%s%n/%d"), ("a path of a backslash", f"\\{service}\\{method}"),
        ("a path with a semicolon", f"/{service};a=1/{method}"), ("a deep path", f"/{service}/{method}/a/b"),
    ]  # fmt: skip
    found: list[tuple[str, bytes, Expectation]] = [("a path without its slash", bare.encode(), "refusal")]
    # tonic routes by what stands before a query or a fragment.
    found += [
        (about, each.encode("latin-1"), "any" if each in (path + "?a=1", path + "#a") else "refusal")
        for about, each in text
    ]
    found.append(("a path that is not ASCII", path.encode() + b"\xff", "refusal"))
    return found


def metadata_cases(path: str, fields: Fields, octets: bytes) -> Iterator[Case]:
    """Metadata of every known name with simple values, as a sound client may send it."""
    body = Step("data", octets=message(octets), end=True)

    def case(about: str, changed: Fields) -> Case:
        return Case("header", path, (Step("open", fields=changed), body), "answer", about)

    yield case("a name twice", (*fields, (b"x-many", b"1"), (b"x-many", b"2")))
    for count in (20, 60, 100):
        yield case(f"{count} fields of metadata", fields + tuple((b"x-%d" % each, b"v") for each in range(count)))
    for timeout in LONG_TIMEOUTS:
        yield case(f"grpc-timeout {_shown(timeout)}", _with(fields, b"grpc-timeout", timeout))
    for value in LEGAL_BINARY:
        for name in BINARY_NAMES:
            if not name.startswith(b"grpc-"):
                yield case(f"{name.decode()}: {_shown(value)}", _with(fields, name, value))
    for value in VALUES[:PLAIN_VALUES]:
        for name in NAMES:
            if name not in RESERVED:
                yield case(f"{name.decode()}: {_shown(value)}", _with(fields, name, value))
    for name in NAMES:
        if name not in RESERVED and name not in ONCE:
            yield case(f"{name.decode()} twice", (*_without(fields, name), (name, b"1"), (name, b"a")))


def header_cases(
    path: str,
    fields: Fields,
    octets: bytes,
    *,
    counts_authorities: bool = False,
    serves_any_path: bool = False,
    is_stream: bool = False,
    with_bomb: bool = True,
) -> Iterator[Case]:
    """The cases of one method, whose ordinary call has these fields and this message.

    ``counts_authorities``: a call with more than one authority is refused for that; so one without any is to be, too.
    ``serves_any_path``: so does one of a method that there is not. ``is_stream``: the method takes a stream of requests,
    whose end grpcio sees in that of the octets. ``with_bomb``: a message that is inflated to much is among them.
    """
    body = message(octets)

    def case(
        about: str, changed: Fields, expects: Expectation = "any", content: bytes = body, *, reference: str = "",
        severity: str = "",
    ) -> Case:  # fmt: skip
        return Case(
            "header", path, (Step("open", fields=changed), Step("data", octets=content, end=True)), expects, about,
            reference, severity,
        )  # fmt: skip

    if counts_authorities:
        # grpc-java and tonic serve it, and count none.
        yield case(
            "a call without an authority", _without(fields, b":authority"), "refusal",
            reference="CVE-2026-84445 (grpc-go); gRFC A41",
        )  # fmt: skip
    for about, other, expects in odd_paths(path):
        is_severe = about == "a path without its slash"
        yield case(
            about, _with(fields, b":path", other), "any" if serves_any_path else expects,
            reference=SEVERE if is_severe else "PROTOCOL-HTTP2, Requests", severity="high" if is_severe else "",
        )  # fmt: skip
    if with_bomb:
        yield _bomb(case, fields, octets)
    yield from _encodings(case, fields, octets, is_stream=is_stream)
    yield from _prefixes(case, fields, octets, is_stream=is_stream)
    for value in TIMEOUTS:
        yield case(f"grpc-timeout {_shown(value)}", _with(fields, b"grpc-timeout", value))
    for value in CONTENT_TYPES:
        yield case(f"content-type {_shown(value)}", _with(fields, b"content-type", value))
    yield case("content-type application/grpc+proto", _with(fields, b"content-type", b"application/grpc+proto"), "same")
    for value in METHODS:
        yield case(f":method {_shown(value)}", _with(fields, b":method", value))
    for value in AUTHORITIES:
        yield case(f":authority {_shown(value)}", _with(fields, b":authority", value))
    for value in (b"", b"https", b"ftp", b"a" * 3000, b"\xff"):
        yield case(f":scheme {_shown(value)}", _with(fields, b":scheme", value))
    for name in (b":method", b":scheme", b":path", b":authority", b"te", b"content-type"):
        yield case(f"no {name.decode()}", _without(fields, name))
    without = _without(fields, b":authority")
    yield case("host in place of :authority", (*without, (b"host", b"localhost")))
    yield case("two host fields", two_hosts(fields), reference="CVE-2026-71554 (h2)")
    yield case("host beside :authority", (*fields, (b"host", b"other")))
    yield case("no fields at all", ())
    for name in (
        b":method",
        b":path",
        b":authority",
        b":scheme",
        b"content-type",
        b"te",
        b"grpc-timeout",
        b"content-length",
    ):
        yield case(f"{name.decode()} twice", ((name, b"0"), *fields))
        yield case(f"{name.decode()} again at the end", (*fields, (name, b"1")))
    yield case("a content-length of 256 MiB", (*fields, (b"content-length", b"268435455")))
    yield case("an unknown pseudo-header", ((b":foo", b"bar"), *fields))
    yield case(":status in a request", ((b":status", b"200"), *fields))
    yield case(":protocol in a request", ((b":protocol", b"websocket"), *fields))
    for odd in (b"", b"A", b"a b", b"a:b", b"a\x00", b"a\n", b"\xff", b":", b"a" * 8000, b"_", b"-bin"):
        yield case(f"a field of the name {_shown(odd)}", (*fields, (odd, b"1")))
    for value in (b"a\x00b", b"a\r\nb: c", b"\n", b" a", b"a ", b"\x01", b"a\tb"):
        yield case(f"a field of the value {_shown(value)}", (*fields, (b"x-value", value)))
    for name in (b"connection", b"transfer-encoding", b"upgrade", b"keep-alive", b"proxy-connection"):
        yield case(f"the field {name.decode()}", (*fields, (name, b"close")))
    for name in NAMES:
        for value in VALUES[PLAIN_VALUES:]:
            legal = name not in RESERVED and value not in (b"\x7f", b"\xc3\xa9")
            changed = _with(fields, name, value)
            yield case(f"{name.decode()}: {_shown(value)}", changed, "answer" if legal and len(value) < 4000 else "any")
    for name in BINARY_NAMES:
        for value in BINARY_VALUES:
            yield case(f"{name.decode()}: {_shown(value)}", (*fields, (name, value)))
    yield case("1000 fields of metadata", fields + tuple((b"x-%d" % number, b"v") for number in range(1000)))
    for count in (10, 100, 1000):
        yield case(f"one field {count} times", (*fields, *(((b"x-many", b"v"),) * count)))
    for size in (1000, 7000, 16_000, 60_000, 500_000):
        # Node.js lets a call whose header block it does not take hang.
        yield case(
            f"a field of {size} octets", (*fields, (b"x-long", b"a" * size)), "nothing" if size > 50_000 else "any"
        )


def _bomb(case: object, fields: Fields, octets: bytes) -> Case:
    """A small message that is inflated to more than any server takes."""
    make: object = case
    assert callable(make)
    # In a field that nobody knows, so that the message is one.
    deflater = zlib.compressobj(9, wbits=31)
    bomb = deflater.compress(octets + tag_bytes(536_870_911, 2) + varint(BOMB))
    bomb += b"".join(deflater.compress(bytes(1 << 20)) for _ in range(BOMB >> 20)) + deflater.flush()
    changed = _with(_with(fields, b"grpc-encoding", b"gzip"), b"grpc-timeout", b"%dS" % BOMB_SECONDS)
    made = make(
        f"gzip of {BOMB >> 20} MiB", changed, "refusal", message(bomb, 1), reference="CVE-2024-37168 (grpc-js)",
        severity="high",
    )  # fmt: skip
    assert isinstance(made, Case)
    # With a step more it is carried out alone.
    return replace(made, steps=(*made.steps, Step("wait", 0, until="end")), seconds=BOMB_SECONDS)


def _encodings(case: object, fields: Fields, octets: bytes, *, is_stream: bool) -> Iterator[Case]:
    make: object = case
    assert callable(make)
    yield make("flagged as compressed without grpc-encoding", fields, "any", message(octets, 1))
    packed = gzip.compress(octets, mtime=0)
    changed = _with(fields, b"grpc-encoding", b"gzip")
    reference = "CVE-2026-48069 (grpc-js)"
    yield make("compressed with gzip", changed, "any", message(packed, 1))
    for about, content in (
        ("gzip that is cut", packed[:-4]), ("gzip with a wrong checksum", packed[:-8] + bytes(8)),
        ("gzip with more behind it", packed + b"more"), ("gzip twice", gzip.compress(packed)), ("gzip of nothing", b""),
        ("a gzip header alone", packed[:10]), ("zlib named gzip", zlib.compress(octets)),
        ("gzip members", packed * 200),
    ):  # fmt: skip
        # A handler of grpc-js may answer a stream of requests before the end of one is known to be wrong.
        refused = about in NO_GZIP and not is_stream
        yield make(about, changed, "refusal" if refused else "any", message(content, 1), reference=reference)
    for value in ENCODINGS:
        changed = _with(fields, b"grpc-encoding", value)
        yield make(f"grpc-encoding {_shown(value)}, not compressed", changed)
        # What is flagged and read as it is, was not looked at: nobody packs messages that way.
        expects = "refusal" if value in NOT_THIS_WAY else "any"
        yield make(f"grpc-encoding {_shown(value)}, flagged", changed, expects, message(octets, 1))
        yield make(f"grpc-accept-encoding {_shown(value)}", _with(fields, b"grpc-accept-encoding", value))


def _prefixes(case: object, fields: Fields, octets: bytes, *, is_stream: bool) -> Iterator[Case]:
    make: object = case
    assert callable(make)
    # Of a stream grpcio takes what has come whole, and the end of the octets for that of the messages.
    refused = "any" if is_stream else "refusal"
    yield make("no message", fields, "any", b"")
    yield make("an empty message", fields, "any", message(b""))
    yield make("two messages", fields, "any", message(octets) * 2)
    yield make("a prefix that is cut", fields, "any", b"\0\0")
    yield make("a prefix alone", fields, refused, b"\0\0\0\0\5")
    yield make(
        "a message shorter than its prefix says",
        fields,
        refused,
        b"\0" + (len(octets) + 9).to_bytes(4, "big") + octets,
    )
    yield make("octets behind the message", fields, "any", message(octets) + b"\0\0\0")
    for size in (0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, (4 << 20) + 1, 64 << 20):
        yield make(f"a prefix of {size} octets", fields, refused, b"\0" + size.to_bytes(4, "big") + octets)
    for flag in (2, 4, 128, 255):
        yield make(f"a prefix with the flags {flag}", fields, "any", message(octets, flag))


def _shown(value: bytes) -> str:
    text = repr(value)[1:]
    return text if len(text) <= 60 else f"{text[:30]}… of {len(value)} octets"


def without_deadline(fields: Fields) -> Fields:
    """The fields of a call that may take as long as it takes."""
    return tuple(field for field in fields if field[0] != b"grpc-timeout")
