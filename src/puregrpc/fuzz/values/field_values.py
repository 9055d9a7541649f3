"""Values of fields: boundaries first, then what names suggest, what was seen, and what is made up.

Each table begins with the simplest value, and goes on with an ordinary one.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from itertools import zip_longest

from puregrpc.codec.wire_format.tags_and_varints import varint
from puregrpc.fuzz.values.choices import Choices
from puregrpc.proto.descriptors import FieldDescriptor, FieldType

__all__ = ["MADE_UP", "Dictionary", "Scalar", "scalar_values", "well_known_values"]

Scalar = int | float | bool | str | bytes

MADE_UP = 3
"""How many ways there are to make up a value beyond those of its table."""

MOST_PER_NAME = 24
NEARED = 2
"""Texts that were seen, of which others are made: what looks like them, and is none of them."""
SIGNED = {
    FieldType.INT32: 32, FieldType.SINT32: 32, FieldType.SFIXED32: 32,
    FieldType.INT64: 64, FieldType.SINT64: 64, FieldType.SFIXED64: 64,
}  # fmt: skip
UNSIGNED = {FieldType.UINT32: 32, FieldType.FIXED32: 32, FieldType.UINT64: 64, FieldType.FIXED64: 64}


def _integers(bits: int, *, signed: bool) -> tuple[int, ...]:
    low, high = (-(1 << (bits - 1)), (1 << (bits - 1)) - 1) if signed else (0, (1 << bits) - 1)
    found = [0, 1, -1, high, low, 2, -2, 3, 10, 100, 1000, high - 1, low + 1]
    for power in (7, 8, 15, 16, 31, 32, 53, 62, 63):
        found += [(1 << power) - 1, 1 << power, (1 << power) + 1, -(1 << power), -(1 << power) - 1, -(1 << power) + 1]
    found += [5, 7, 11, 12, 13, 42, 99, 101, 400, 404, 500, 666, 999, 1001, 1337, 9999, 10000, 65537, 99999, 100000]
    found += [1_000_000, 10**9, 10**10, 10**18, -3, -10, -100, -1000]
    found += [1 << power for power in (4, 5, 6, 9, 10, 12, 20, 24, 28, 30, 40)]
    found += [(1 << power) - 1 for power in (10, 20, 24, 30)]
    return tuple(dict.fromkeys(value for value in found if low <= value <= high))


_INTEGERS = {
    **{kind: _integers(bits, signed=True) for kind, bits in SIGNED.items()},
    **{kind: _integers(bits, signed=False) for kind, bits in UNSIGNED.items()},
}

_FLOATS = (
    0.0, 1.0, -1.0, float("nan"), float("inf"), float("-inf"), -0.0, 0.5, 1e-10, 100.0, -0.5, 1.5, 1e10, 1e15, 1e16,
    2.0**24 + 1, 2.0**31, 2.0**32, 2.0**53, 2.0**63, 2.0**64, -(2.0**31) - 1, -(2.0**63), 0.1, 90.0, -90.0, 90.0001, 180.0,
    -180.0, 180.0001, 360.0, 1e-45, 1.1754942e-38, 1.17549435e-38, 3.4028234e38,
)  # fmt: skip
_DOUBLES = (*_FLOATS, 5e-324, 2.2250738585072014e-308, 2.225073858507201e-308, 1.7976931348623157e308, 1e100, -1e308)

_TEXTS = (
    "", "a", "../../../../etc/passwd", "' OR '1'='1", "constructor", "__proto__", "a" * 33 + "!", "{{7*7}}", "$(id)", '"', " ", "0", "--help", "1e999999999", "-1", "A", "\x00", "\n", "é", "é" * 150, "a" + "é" * 150, "a\x00b", "%s%s%s%n", "{}", "{0}", "${1}", "'", '"', "\\", "<b>",
    "null", "None", "undefined", "true", "NaN", "1e309", "-x", "a b", " a ", "\t", "\r\n", "/", ".",
    "..", "'; DROP TABLE x;--", "`id`", "%00", "%", "+", ",", ";", "a,b,,c", "a=b",
    "[]", "[1]", '{"a":1}', "*", "**", "(", "[", ")", "?", "a" * 3000 + "!", "(" * 1000, "[" * 5000,
    "\x7f", "\x1b[31m", "\u0000\uffff", "\ud7ff", "\ue000", "\U0010ffff", "\U0001f600", "\u202e", "\ufeff", "ß", "İ",
    "ﷺ", "²", "½", "e\u0301", "日本語", "\u2028", "a" + "\U0001f600" * 70, "\U0001f600" * 70,
    "a@b.c", *(character * 40 + "!" for character in "*1 -/.,=_<"),
)  # fmt: skip
"""Those of many characters that are no ASCII have none that ends at one or another octet at which texts are cut."""
_LENGTHS = (
    7, 8, 9, 15, 16, 17, 20, 21, 31, 32, 33, 50, 51, 63, 64, 65, 100, 101, 127, 128, 129, 200, 255, 256, 257, 500, 511,
    512, 513, 1000, 1023, 1024, 1025, 2047, 2048, 2049, 4095, 4096, 4097, 8191, 8192, 8193, 10_000, 16383, 16384, 16385,
    32767, 32768, 65535, 65536, 65537, 100_000, 1 << 20,
)  # fmt: skip
_HEAVY = 2500
"""From so many octets on a value is tried alone, not in every mixture."""

_BYTES = (
    b"", b"\x00", b"\xff", b"a", b"\x00\x00\x00\x00", b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\x80\x00\x00\x00",
    b"\x80", b"\xc0\x80", b"\xed\xa0\x80", b"\x1f\x8b\x08\x00", b"PK\x03\x04", b"\x08\x96\x01", b"{}", b"\x89PNG\r\n\x1a\n",
    b"GIF89a", b"%PDF-1.4", b"\x00" * 16, b"\xff" * 64,
)  # fmt: skip

_BOMB = 64
"""MiB of nothing."""


@lru_cache
def _bombs() -> tuple[bytes, ...]:
    """Octets that are inflated to a thousand times as many, as zlib and gzip write them."""
    mebibyte = bytes(1 << 20)
    deflater = zlib.compressobj(9, wbits=-15)
    # Each piece stands for itself.
    content = (deflater.compress(mebibyte) + deflater.flush(zlib.Z_FULL_FLUSH)) * _BOMB + b"\x03\x00"
    size, crc = _BOMB << 20, 0
    for _ in range(_BOMB):
        crc = zlib.crc32(mebibyte, crc)
    adler = (size % 65521) << 16 | 1
    gzip_head = b"\x1f\x8b\x08" + bytes(6) + b"\xff"
    return (
        b"\x78\xda" + content + adler.to_bytes(4, "big"),
        gzip_head + content + crc.to_bytes(4, "little") + size.to_bytes(4, "little"),
    )


_NESTED_ANY = '{"@type":"type.googleapis.com/google.protobuf.Any","value":' * 300 + "{}" + "}" * 300
"""CVE-2026-0994: what parses JSON with a limit of depth may count no google.protobuf.Any."""

_HINTS: tuple[tuple[tuple[str, ...], tuple[str, ...]], ...] = (
    (("email", "mail"), ("user@example.com", "user", "@", "a@", "@b", "a@b@c", "a" * 64 + "@b.c", "a@" + "a." * 100 + "c", '"a"@b')),
    (("uuid", "guid"), ("00000000-0000-4000-8000-000000000001", "00000000-0000-0000-0000-000000000000", "not-a-uuid", "{}", "0" * 32)),
    (("url", "uri", "link", "callback", "webhook", "endpoint"), ("http://127.0.0.1:1/", "http://", "file:///etc/passwd", "//", "http://[::1", "javascript:alert(1)", "ftp://a:99999/", "http://%zz/")),
    (("path", "file", "dir", "folder"), ("a.txt", "/", "..", "../../../etc/passwd", "/dev/null", "/dev/zero", "a\x00.txt", "C:\\con", "a/" * 500)),
    (("day", "birthday", "birthdate", "born"), ("2024-02-29", "2023-02-29", "0000-00-00", "9999-12-31", "0001-01-01", "2024-2-9", "29.02.2024", "2024-02-29T12:00:00Z", "monday")),
    (("time", "date", "at", "when", "since", "until"), ("2024-02-29T12:00:00Z", "0000-00-00", "2023-02-29", "9999-12-31T23:59:60Z", "10000-01-01T00:00:00Z", "24:00", "-1", "2024-13-01")),
    (("token", "cursor"), ("dG9rZW4=", "====", "!", "MTAw", "LTE=", "-1", "0", "999999999")),
    (("id", "key", "name"), ("1", "x", "missing", "-1", "0", "../x", "1' OR 1=1", "99999999999999999999")),
    (("order", "sort", "filter", "query", "expression", "expr", "formula"), ("name", "name desc", "--help", "a=", "=", "(((", "1/0", "a and", "1+", "-", "a.b.c", "x:(", "1//0")),
    (("regex", "pattern", "match", "glob"), ("a", "(", "(a+)+$", "[", "*", "(?P<a>", "\\", "a{99999}", "(a|a)*b")),
    (("json", "payload", "config", "data"), ("{}", "[", '{"a":', "[" * 2000, _NESTED_ANY, '{"__proto__":{}}', "1e400", "nul")),
    (("lang", "locale", "currency", "country", "unit", "format", "encoding", "charset", "timezone", "zone"), ("en", "EUR", "xx", "utf-8", "latin1", "UTC", "Mars/Olympus", "%d", "%n")),
    (("ip", "host", "addr", "address"), ("127.0.0.1", "::1", "256.1.1.1", "localhost:0", "1.2.3", "[")),
    (("version",), ("1.0.0", "1", "v1", "1.", "a.b.c", "1.2.3.4.5")),
    (("phone", "number", "amount", "price", "value", "count", "size"), ("1", "1.5", "1e999999999", "1,5", "+", "-", "abc", "0x10", "1e5", "--1", "٣")),
)  # fmt: skip
"""Parts of names of string fields, with values that they suggest: an ordinary one first."""

_NUMBER_HINTS: tuple[tuple[tuple[str, ...], tuple[int, ...]], ...] = (
    (("size", "count", "limit", "length", "len", "capacity", "num", "times", "repeat", "page", "offset", "width", "height", "depth", "level", "n"),
     (1, 10_000_000, 100_000_000, 1_000_000_000, 2_000_000_000, -1)),
    (("second", "delay", "sleep", "timeout", "wait", "interval", "ms", "millis", "duration"), (1, 5, 30, 60, 3600, 60_000, 3_600_000)),
    (("year",), (2024, 0, -1, 9999, 10_000, 1582)), (("month",), (1, 0, 12, 13)), (("day",), (1, 0, 29, 30, 31, 32)),
    (("hour",), (12, 23, 24)), (("minute", "second"), (30, 59, 60, 61)), (("percent", "ratio"), (50, 100, 101, -1)),
    (("port",), (80, 0, 65535, 65536)),
)  # fmt: skip


class Dictionary:
    """Values that were given, or seen in the schema and in answers: by the name of a field, and for any."""

    def __init__(self, given: Iterable[str] = ()) -> None:
        self.given = tuple(dict.fromkeys(given))
        self.names: tuple[str, ...] = ()
        """Of the fields of what is answered."""
        self._seen: dict[str, list[Scalar]] = {}
        self.version = 0

    def add(self, name: str, value: Scalar) -> None:
        """Keep a value that a field of this name had."""
        if isinstance(value, (str, bytes)) and not 0 < len(value) <= 200:
            return
        known = self._seen.setdefault(name, [])
        if value not in known and len(known) < MOST_PER_NAME:
            known.append(value)
            self.version += 1

    def of(self, name: str) -> Sequence[Scalar]:
        """What was seen for fields of this name or of the next one, and for ``id`` where it is that of something."""
        found = [*self._seen.get(name, ()), *self._seen.get(f"next_{name}", ())]
        if name == "id" or name.endswith("_id"):
            for other, values in self._seen.items():
                if other != name and (other == "id" or other.endswith("_id") or other == "name"):
                    found += values
        return found


def words_of(name: str) -> list[str]:
    """The words of a field's name."""
    spaced = "".join(f"_{c.lower()}" if c.isupper() else c for c in name)
    return [word for word in spaced.split("_") if word]


NAMED = {"order", "sort", "sorted", "field", "fields", "column", "columns", "group", "select", "mask", "orderby", "by"}
"""Words of fields that are to have the names of others."""


def is_of_one_call(field: FieldDescriptor) -> bool:
    """Whether a field tells one call from all others: with the same text in it, other calls are taken for that one."""
    name, within = field.name, field.containing_type
    if name == "request_id" and within is not None and len(within.fields) > 2:
        return True
    return "idempoten" in name or "dedup" in name or name in ("client_request_id", "client_token")


@lru_cache(maxsize=4096)
def hinted_texts(name: str) -> tuple[str, ...]:
    """What the name of a string field suggests."""
    words = words_of(name)
    return tuple(
        text for parts, texts in _HINTS if any(part in words or part + "s" in words for part in parts) for text in texts
    )


@lru_cache(maxsize=4096)
def hinted_numbers(name: str) -> tuple[int, ...]:
    """What the name of a number suggests."""
    words = words_of(name)
    return tuple(
        number
        for parts, numbers in _NUMBER_HINTS
        if any(part in words or part + "s" in words for part in parts)
        for number in numbers
    )


def scalar_values(field: FieldDescriptor, dictionary: Dictionary) -> list[Scalar]:
    """The table of a field: its boundaries, what its name suggests, what is known. The second is an ordinary value."""
    kind = field.type
    seen = dictionary.of(field.name)
    found: list[Scalar]
    if kind in _INTEGERS:
        bits, signed = (SIGNED[kind], True) if kind in SIGNED else (UNSIGNED[kind], False)
        low, high = (-(1 << (bits - 1)), (1 << (bits - 1)) - 1) if signed else (0, (1 << bits) - 1)
        hinted = [number for number in hinted_numbers(field.name) if low <= number <= high]
        numbers = [value for value in seen if type(value) is int and low <= value <= high]
        texts = [int(text) for text in dictionary.given if text.lstrip("-").isdigit() and low <= int(text) <= high]
        found = [0, *hinted[:1], *_INTEGERS[kind], *hinted, *numbers, *texts]
    elif kind is FieldType.BOOL:
        return [False, True]
    elif kind is FieldType.ENUM:
        assert field.enum_type is not None
        named = [value.number for value in field.enum_type.values]
        found = [*named, max(named, default=0) + 1, -1, 99, 1000, 2**31 - 1, -(2**31)]
        first = named[0] if named else 0
        found.sort(key=lambda value: value != first)
    elif kind in (FieldType.FLOAT, FieldType.DOUBLE):
        floats = _FLOATS if kind is FieldType.FLOAT else _DOUBLES
        return [*floats, *(float(number) for number in hinted_numbers(field.name))]
    elif kind is FieldType.STRING:
        hinted_words = hinted_texts(field.name)
        words = [value for value in seen if isinstance(value, str)]
        long = ["a" * length for length in _LENGTHS]
        found = [
            "",
            *(hinted_words[:1] or [field.name]),
            *words[:2],
            "a" * 1025,
            "%s%n",
            "é\u20ac\U0001f600",
            "a\x00b",
            " ",
            "-1",
            "a" * 70_000,
        ]
        if NAMED.intersection(words_of(field.name)):
            found[3:3] = dictionary.names
        found += [*words, *hinted_words, "a" * 257, *dictionary.given]
        found += [near for word in words[:NEARED] for near in (word + "x", word[:-1], word + "99999") if near]
        for text, length in zip_longest(_TEXTS, long):
            found += [each for each in (text, length) if each is not None]
    else:
        given = [text.encode() for text in dictionary.given]
        octets = [value for value in seen if isinstance(value, bytes)]
        found = [*_BYTES, *_bombs(), *given, *octets, *(b"a" * length for length in _LENGTHS)]
    if isinstance(field.default, (int, float, str, bytes)) and not isinstance(field.default, bool) and field.default:
        found.insert(2, field.default)
    return list(dict.fromkeys(found))


def is_heavy(value: Scalar) -> bool:
    """Too large for every mixture."""
    return isinstance(value, (str, bytes)) and len(value) >= _HEAVY


def made_up(field: FieldDescriptor, how: int, choices: Choices) -> Scalar:
    """A value that is in no table: small, of any size, or put together from parts."""
    kind = field.type
    if kind is FieldType.BOOL:
        return bool(choices.below(2))
    if kind in SIGNED or kind in UNSIGNED or kind is FieldType.ENUM:
        bits = SIGNED.get(kind) or UNSIGNED.get(kind) or 32
        width = 7 if how == 0 else 1 + choices.below(bits)
        value = choices.below(1 << width)
        if kind in UNSIGNED:
            return value
        if choices.below(2):
            value = -value
        return max(min(value, (1 << (bits - 1)) - 1), -(1 << (bits - 1)))
    if kind in (FieldType.FLOAT, FieldType.DOUBLE):
        if how == 0:
            return choices.below(2000) / 10 - 100 if choices.below(2) else float(choices.below(1000))
        size, form = (4, "<f") if kind is FieldType.FLOAT else (8, "<d")
        value = struct.unpack(form, choices.below(1 << (8 * size)).to_bytes(size, "little"))[0]
        assert isinstance(value, float)
        return value
    if kind is FieldType.STRING:
        if how == 0:
            return "".join(chr(97 + choices.below(26)) for _ in range(choices.below(12)))
        if how == 1:
            return "".join(_TEXTS[choices.below(50)] for _ in range(choices.below(5)))
        return chr(min(97 + choices.below(0x2000), 0xD7FF)) * choices.below(3000)
    if how == 0:
        return bytes(choices.below(256) for _ in range(choices.below(12)))
    return bytes((choices.below(256),)) * choices.below(3000)


def _seconds_and_nanos(*pairs: tuple[int, int]) -> tuple[bytes, ...]:
    return tuple(
        (b"\x08" + varint(seconds) if seconds else b"") + (b"\x10" + varint(nanos) if nanos else b"")
        for seconds, nanos in pairs
    )


def _text(number: int, text: bytes) -> bytes:
    return varint(number << 3 | 2) + varint(len(text)) + text


def _any_in_any(depth: int) -> bytes:
    content = b""
    for _ in range(depth):
        content = _text(1, b"type.googleapis.com/google.protobuf.Any") + (_text(2, content) if content else b"")
    return content


_WELL_KNOWN: dict[str, tuple[bytes, ...]] = {
    "google.protobuf.Timestamp": _seconds_and_nanos(
        (0, 0), (1_700_000_000, 0), (253_402_300_800, 0), (-1, 0), (0, 10**9), (-62_135_596_801, 0), (0, -1),
        (2**63 - 1, 0), (253_402_300_799, 999_999_999), (951_782_400, 0), (1, 0), (0, 1), (0, 999_999_999),
        (-62_135_596_800, 0), (2**31, 0), (-(2**31) - 1, 0), (2**32, 0), (1_709_164_800, 0), (1_706_659_200, 0),
        (-(2**63), 0), (0, 2**31 - 1), (1, -(2**31)), (-1, 1),
    ),
    "google.protobuf.Duration": _seconds_and_nanos(
        (0, 0), (0, 50_000_000), (1, 0), (-1, 0), (315_576_000_001, 0), (0, 10**9), (0, -1), (2**63 - 1, 0), (3600, 0),
        (-1, -999_999_999), (0, 1), (1, 500_000_000), (315_576_000_000, 0), (-315_576_000_000, 0), (1, -1), (-1, 1),
        (-(2**63), 0), (0, 2**31 - 1),
    ),
    "google.protobuf.FieldMask": tuple(
        b"".join(_text(1, path) for path in paths)
        for paths in ((), (b"name",), (b"",), (b"*",), (b"a.b.c",), (b"name", b"name"), (b".",), (b"a..b",),
                      (b"fooBar",), (b"name.",), (b"a." * 200 + b"a",), (b"a",) * 500)
    ),
    "google.protobuf.Any": (
        b"", _text(1, b"type.googleapis.com/google.protobuf.Duration") + b"\x12\x02\x08\x01",
        _text(1, b"type.googleapis.com/google.protobuf.Duration"), _text(1, b"type.googleapis.com/no.such.Type"),
        _text(1, b"google.protobuf.Duration"), _text(1, b"/"), _text(1, b"no slash"), b"\x12\x01\x00",
        _text(1, b"type.googleapis.com/google.protobuf.Duration") + b"\x12\x02\x08\xff",
        _text(1, b"type.googleapis.com/google.protobuf.StringValue") + b"\x12\x03\x0a\x01\xff",
        _text(1, b"http://127.0.0.1:1/google.protobuf.Duration"), _text(1, b"type.googleapis.com/"),
        _text(1, b"type.googleapis.com/google.protobuf.Any") + b"\x12\x00", _any_in_any(10), _any_in_any(200),
    ),
}  # fmt: skip


def well_known_values(full_name: str) -> tuple[bytes, ...]:
    """The table of a well-known type as serialized messages; empty for types that are made field by field."""
    return _WELL_KNOWN.get(full_name, ())


Encode = Callable[[Scalar], bytes]


def _zigzag(value: int, bits: int) -> int:
    return (value << 1 ^ value >> (bits - 1)) & ((1 << bits) - 1)


def encoder_of(kind: FieldType) -> tuple[int, Encode]:
    """The wire type of a scalar, and the function that writes it without its tag."""
    if kind in (FieldType.STRING, FieldType.BYTES):

        def length_delimited(value: Scalar) -> bytes:
            octets = value.encode("utf-8", "surrogatepass") if isinstance(value, str) else bytes(value)  # type: ignore[arg-type]
            return varint(len(octets)) + octets

        return 2, length_delimited
    forms = {
        FieldType.DOUBLE: (1, "<d"), FieldType.FLOAT: (5, "<f"), FieldType.FIXED64: (1, "<Q"),
        FieldType.FIXED32: (5, "<I"), FieldType.SFIXED64: (1, "<q"), FieldType.SFIXED32: (5, "<i"),
    }  # fmt: skip
    if kind in forms:
        wire_type, form = forms[kind]
        packer = struct.Struct(form).pack
        if kind is FieldType.FLOAT:

            def single(value: Scalar) -> bytes:
                try:
                    return packer(value)
                except OverflowError:
                    return packer(float("inf") if float(value) > 0 else float("-inf"))

            return wire_type, single
        return wire_type, packer
    if kind in (FieldType.SINT32, FieldType.SINT64):
        bits = 32 if kind is FieldType.SINT32 else 64
        return 0, lambda value: varint(_zigzag(int(value), bits))
    return 0, lambda value: varint(int(value))
