"""Captures, hex dumps and JSON lines for `trace`."""

from __future__ import annotations

import gzip
import json
import struct
from collections.abc import Callable
from contextlib import suppress

from puregrpc import proto
from puregrpc.errors import InvalidArgument
from puregrpc.fuzz.frames.probe import frame
from puregrpc.schema import Registry
from puregrpc.trace import explain
from puregrpc.trace.reading import read_recordings
from puregrpc.trace.recording import LINES_FORM, LINES_VERSION
from puregrpc.trace.showing.json_lines import explanation_lines

__all__ = ["CAPTURES"]

HEAD = json.dumps({"form": LINES_FORM, "version": LINES_VERSION}).encode() + b"\n"
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(4, 0, 0, b"")
KEY_LOG = 0x544C534B


def line(octets: bytes, sender: str = "client") -> bytes:
    return json.dumps({"time": 0, "from": sender, "octets": octets.hex()}).encode() + b"\n"


def recording(client: bytes, server: bytes = b"") -> bytes:
    return HEAD + line(PREFACE + client) + (line(server, "server") if server else b"")


def literal(name: bytes, value: bytes) -> bytes:
    return b"\0" + bytes([len(name)]) + name + bytes([len(value)]) + value


def headers(path: bytes = b"/a.B/C", *more: bytes) -> bytes:
    grpc = literal(b"content-type", b"application/grpc") + literal(b"te", b"trailers")
    return b"\x83\x86\x04" + bytes([len(path)]) + path + grpc + b"".join(more)


def in_data(octets: bytes) -> bytes:
    return b"".join(frame(0, 0, 1, octets[at : at + 16384]) for at in range(0, len(octets), 16384))


def message(body: bytes, flag: bytes = b"\0") -> bytes:
    return flag + struct.pack("!I", len(body)) + body


def gzipped(count: int) -> bytes:
    return message(gzip.compress(bytes(count)), b"\1")


def nested(size: int) -> bytes:
    """Messages of one field in one another, as far as there are octets."""
    made = b""
    while len(made) < size and len(made) < 1 << 14:
        length = len(made)
        made = b"\x0a" + bytes((length,) if length < 128 else (length & 127 | 128, length >> 7)) + made
    return made * (size // len(made) + 1)


GZIP = literal(b"grpc-encoding", b"gzip")


def tcp(payload: bytes, sequence: int, *, flags: int = 16, port: int = 1000, acknowledged: int = 0) -> bytes:
    ends = (80, port) if acknowledged else (port, 80)
    addresses = (b"\x0a\0\0\2", b"\x0a\0\0\1") if acknowledged else (b"\x0a\0\0\1", b"\x0a\0\0\2")
    segment = struct.pack("!HHIIBBHHH", *ends, sequence & 0xFFFFFFFF, acknowledged, 5 << 4, flags, 0, 0, 0) + payload
    return struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(segment), 0, 0, 64, 6, 0) + b"".join(addresses) + segment


def fragment(identification: int, offset: int) -> bytes:
    ip = struct.pack("!BBHHHBBH", 0x45, 0, 28, identification & 0xFFFF, 0x2000 | offset, 64, 6, 0)
    return ip + b"\x0a\0\0\1\x0a\0\0\2" + b"12345678"


def pcap(packets: list[bytes], link: int = 101) -> bytes:
    head = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, link)
    return head + b"".join(struct.pack("<IIII", 0, 0, len(each), len(each)) + each for each in packets)


def block(kind: int, body: bytes) -> bytes:
    body += bytes(-len(body) % 4)
    size = struct.pack("<I", len(body) + 12)
    return struct.pack("<I", kind) + size + body + size


SECTION = block(0x0A0D0D0A, struct.pack("<IHHq", 0x1A2B3C4D, 1, 0, -1))
INTERFACE = block(1, struct.pack("<HHI", 101, 0, 0))
TIMES = struct.pack("<HHB3xHHq", 9, 1, 0, 14, 8, 2**63 - 1)
FAR = block(6, struct.pack("<IIIII", 0, 2**32 - 1, 2**32 - 1, 40, 64) + tcp(b"", 0))
KEYS = b"CLIENT_RANDOM " + b"11" * 32 + b" " + b"22" * 48 + b"\n"
SECRETS = block(10, struct.pack("<II", KEY_LOG, len(KEYS)) + KEYS)
WITH_TIMES = block(1, struct.pack("<HHI", 101, 0, 0) + TIMES)
GZIP_CALL = frame(1, 4, 1, headers(b"/a.B/C", GZIP))
CALL = frame(1, 4, 1, headers())
BOMB = b"\x40\x01a\x7f\xe1\x1e" + b"a" * 3936 + b"\xbe" * 1000

FILES: dict[str, Callable[[int], bytes]] = {
    "members of gzip": lambda size: gzip.compress(b"", mtime=0) * (size // 20),
    "members of gzip with an octet": lambda size: gzip.compress(b"00 ", mtime=0) * (size // 23),
    "secrets": lambda size: SECTION + INTERFACE + block(10, struct.pack("<II", KEY_LOG, 0)) * (size // 20),
    "secrets of a line": lambda size: SECTION + INTERFACE + SECRETS * (size // 196),
    "interfaces": lambda size: SECTION + INTERFACE * (size // 20),
    "options of an interface": lambda size: (
        SECTION + block(1, struct.pack("<HHI", 101, 0, 0) + b"\2\0\0\0" * (size // 4))
    ),
    "sections": lambda size: SECTION * (size // 28),
    "times that are far away": lambda size: SECTION + WITH_TIMES + FAR * (size // 80),
    "connections": lambda size: pcap([tcp(b"x", 1, port=1024 + index) for index in range(size // 57)]),
    "connections that begin again": lambda size: pcap(
        [
            each
            for index in range(size // 120)
            for each in (tcp(b"", index * 7919, flags=2), tcp(b"x", index * 7919 + 1))
        ]
    ),
    "holes": lambda size: pcap([tcp(b"x", 2 * index) for index in range(size // 57)]),
    "holes that are acknowledged": lambda size: pcap(
        [
            each
            for index in range(size // 114)
            for each in (tcp(b"x", 1000 + 2 * index), tcp(b"", 5, acknowledged=1001 + 2 * index))
        ]
    ),
    "segments in reverse": lambda size: pcap([tcp(b"x", size - index) for index in range(size // 57)]),
    "fragments": lambda size: pcap([fragment(index // 1000, index % 1000 * 2) for index in range(size // 44)]),
    "labels of MPLS": lambda size: pcap([bytes(12) + b"\x88\x47" + bytes(size)], 1),
    "attributes of NFLOG": lambda size: pcap([bytes(4) + b"\4\0\1\0" * (size // 4)], 239),
    "headers of IPv6": lambda size: pcap([struct.pack("!IHBB", 6 << 28, 0, 0, 0) + bytes(40 + size)]),
    "lines of a dump": lambda size: b"00\n" * (size // 3),
    "lines of both sides": lambda size: b"> 00\n< 00\n" * (size // 10),
    "one line of a dump": lambda size: b"00 " * (size // 3),
    "digits": lambda size: b"0" * size,
    "blanks": lambda size: b"00" + b" " * size + b"|",
    "dashes": lambda size: b"00-" * (size // 3) + b"zz",
    "lines of a recording": lambda size: HEAD + line(b"\0") * (size // 45),
    "recordings": lambda size: HEAD * (size // len(HEAD)),
    "streams": lambda size: recording(b"".join(frame(1, 4, 2 * i + 1, headers()) for i in range(size // 130))),
    "streams of many methods": lambda size: recording(
        b"".join(frame(1, 5, 2 * i + 1, headers(b"/a.S%d/C" % i)) for i in range(size // 140))
    ),
    "streams that are reset": lambda size: recording(
        b"".join(frame(1, 4, 2 * i + 1, headers()) + frame(3, 0, 2 * i + 1, bytes(4)) for i in range(size // 150))
    ),
    "windows that move": lambda size: recording(
        b"".join(frame(1, 4, 2 * i + 1, headers()) for i in range(size // 260)),
        b"".join(frame(4, 0, 0, struct.pack("!HI", 4, 65535 + i)) for i in range(size // 60)),
    ),
    "windows that shrink and are never acknowledged": lambda size: recording(
        CALL + frame(0, 0, 1, b"\0") * (size // 60),
        b"".join(frame(4, 0, 0, struct.pack("!HI", 4, 65535 - i % 60_000)) for i in range(size // 60)),
    ),
    "GOAWAYs": lambda size: recording(
        b"".join(frame(1, 4, 2 * i + 1, headers()) for i in range(size // 260)), frame(7, 0, 0, bytes(8)) * (size // 68)
    ),
    "DATA of an octet": lambda size: recording(CALL + frame(0, 0, 1, b"\0") * (size // 20)),
    "messages without octets": lambda size: recording(CALL + in_data(bytes(size // 2))),
    "CONTINUATIONs": lambda size: recording(frame(1, 0, 1, headers()) + frame(9, 0, 1, b"") * (size // 18)),
    "entries of a table": lambda size: recording(
        b"".join(
            frame(1, 4, 2 * i + 1, b"\x40\x01a\x7f\xe1\x1e" + b"a" * 3936 + b"\xbe" * 1000)
            for i in range(size // 10000)
        )
    ),
    "a message that inflates": lambda size: recording(GZIP_CALL + in_data(gzipped(size * 50))),
    "messages that inflate": lambda size: recording(GZIP_CALL + in_data(gzipped(20_000) * (size // 120))),
    "messages in a message": lambda size: recording(CALL + in_data(message(b"\x0a\0" * (size // 4)))),
    "groups in a message": lambda size: recording(
        CALL + in_data(message(b"\x0b" * (size // 4) + b"\x0c" * (size // 4)))
    ),
    "segments that are sent again": lambda size: pcap([tcp(b"x", 1)] * (size // 57)),
    "segments that overlap": lambda size: pcap([tcp(b"xyz", index) for index in range(size // 59)]),
    "segments that overlap and differ": lambda size: pcap(
        [tcp(bytes([index & 255]) * 40, size - index) for index in range(size // 96)]
    ),
    "connections that never begin": lambda size: pcap(
        [tcp(b"", 1, flags=2, port=1024 + index % 60_000) for index in range(size // 56)]
    ),
    "fragments that overlap": lambda size: pcap([fragment(1, index % 7) for index in range(size // 44)]),
    "tags of VLANs": lambda size: pcap([bytes(12) + b"\x81\0\0\0" * (size // 4)], 1),
    "packets of VLANs": lambda size: pcap([bytes(12) + b"\x81\0\0\0" * 400] * (size // 1640), 1),
    "packets of nothing": lambda size: pcap([b""] * (size // 16)),
    "packets with comments": lambda size: (
        SECTION
        + INTERFACE
        + block(6, struct.pack("<IIIII", 0, 0, 0, 40, 40) + tcp(b"", 0) + b"\1\0\4\0text" * 40) * (size // 400)
    ),
    "names of hosts": lambda size: SECTION + block(4, b"\1\0\x08\0\x7f\0\0\1abc\0" * (size // 12)),
    "blocks of unknown kinds": lambda size: SECTION + block(0x0BAD, b"") * (size // 12),
    "records of TLS": lambda size: pcap(
        [tcp(b"\x16\x03\x01\0\1\1", 1)] + [tcp(b"\x17\x03\x03\0\1x", 7 + 6 * index) for index in range(size // 62)]
    ),
    "records of TLS in one segment": lambda size: pcap(
        [tcp(b"\x17\x03\x03\0\1x" * 10, 60 * i) for i in range(size // 116)]
    ),
    "alerts of TLS": lambda size: pcap([tcp(b"\x15\x03\x03\0\2\1\0", 7 * index) for index in range(size // 63)]),
    "priorities": lambda size: recording(frame(2, 0, 1, bytes(5)) * (size // 28)),
    "pings": lambda size: recording(frame(6, 0, 0, bytes(8)) * (size // 34)),
    "settings of many": lambda size: recording(frame(4, 0, 0, b"\0\x99\0\0\0\1" * 20) * (size // 258)),
    "frames of unknown kinds": lambda size: recording(frame(0xFB, 0, 1) * (size // 18)),
    "resets of idle streams": lambda size: recording(
        b"".join(frame(3, 0, 2 * index + 1, bytes(4)) for index in range(size // 26))
    ),
    "promises": lambda size: recording(
        CALL, b"".join(frame(5, 4, 1, struct.pack("!I", 2 * index + 2) + headers()) for index in range(size // 140))
    ),
    "fields of an octet": lambda size: recording(frame(1, 4, 1, b"\x82" * (size // 20)) * 10),
    "sizes of tables": lambda size: recording(frame(1, 4, 1, b"\x20\x3f\xe1\x1f" * (size // 80)) * 10),
    "coded fields": lambda size: recording(
        frame(1, 4, 1, (b"\0\x81\x1f\xff\xe1\x3e" + b"\x1c" * size)[: size // 20]) * 10
    ),
    "a grpc-message of escapes": lambda size: recording(
        CALL, frame(1, 5, 1, b"\x88" + literal(b"grpc-message", b"%41" * 42)) * (size // 300)
    ),
    "responses without requests": lambda size: recording(
        b"", b"".join(frame(1, 5, 2 * index + 1, b"\x88") for index in range(size // 20))
    ),
    "messages in messages": lambda size: recording(CALL + in_data(message(nested(size // 2)))),
    "texts that are nearly messages": lambda size: recording(
        CALL + in_data(message(b"\x0a\x04\x0a\x02\x0a\x01" * (size // 12)))
    ),
    "windows without end": lambda size: recording(CALL + frame(8, 0, 0, b"\0\0\0\1") * (size // 26)),
    "lines of deep JSON": lambda size: HEAD + b"[" * size,
    "lines of many keys": lambda size: HEAD + json.dumps({str(index): 0 for index in range(size // 11)}).encode(),
    "lines of long times": lambda size: HEAD + b'{"time":' + b"9" * size + b',"from":"client","octets":""}\n',
    "times that go back": lambda size: (
        HEAD + b"".join(b'{"time": %d, "from": "client", "octets": "00"}\n' % -index for index in range(size // 45))
    ),
    "offsets of a dump": lambda size: b"".join(b"%06x 00 01 02\n" % (3 * index) for index in range(size // 16)),
    "a dump of gzip of gzip": lambda size: gzip.compress(gzip.compress(gzip.compress(bytes(size * 200)))),
    "tunnels": lambda size: (
        HEAD + (line(b"CONNECT a:1 HTTP/1.1\r\n\r\n") + line(b"HTTP/1.1 200 ok\r\n\r\n", "server")) * (size // 200)
    ),
}


def given() -> Registry:
    """A schema that has none of the methods that are called."""
    methods = "".join(f"rpc Method{index}(M) returns (M);" for index in range(300))
    (file,) = proto.compile(
        ["m.proto"], sources={"m.proto": f'syntax = "proto3"; package a; message M {{}} service S {{ {methods} }}'}
    )
    registry = Registry()
    registry.add_file(file)
    return registry


def explaining(octets: Callable[[int], bytes]) -> Callable[[int], Callable[[], object]]:
    def work(size: int) -> Callable[[], object]:
        data, registry = octets(size), given()

        def run() -> None:
            with suppress(InvalidArgument):
                for each in read_recordings(data):
                    for _ in explanation_lines(explain(each, registry=registry)):
                        pass

        return run

    return work


CAPTURES = {f"captures: {name}": explaining(octets) for name, octets in FILES.items()}
