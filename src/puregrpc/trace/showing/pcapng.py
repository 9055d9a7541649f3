"""A recording as a pcapng file (draft-ietf-opsawg-pcapng) that Wireshark and tshark open and dissect as gRPC.

The octets are put into made-up IPv4 and TCP packets, with a handshake, sequence numbers and acknowledgements, so that
a dissector can follow the stream. A TLS key log, if there is one, goes into a Decryption Secrets Block.
"""

from __future__ import annotations

import ipaddress
import math
import struct
from typing import TYPE_CHECKING

from puregrpc.trace.recording import PREFACE, Chunk, Direction

if TYPE_CHECKING:
    from collections.abc import Iterable

    from puregrpc.trace.recording import Recording

__all__ = ["write_pcapng"]

SECTION_HEADER, INTERFACE, ENHANCED_PACKET, DECRYPTION_SECRETS = 0x0A0D0D0A, 1, 6, 10
BYTE_ORDER_MAGIC = 0x1A2B3C4D
LINKTYPE_RAW = 101
"""Packets begin with the IP header."""

TLS_KEY_LOG = 0x544C534B
OPTION_COMMENT, OPTION_APPLICATION, OPTION_RESOLUTION = 1, 4, 9
NANOSECONDS = b"\x09"
SEGMENT = 32_768
"""Octets in one made-up packet: an IPv4 packet holds 65,535 at most."""

FIN, SYN, PSH, ACK = 1, 2, 8, 16
TCP = 6
CLIENT_PORT = 49_152


def write_pcapng(recording: Recording, *, application: str = "puregrpc") -> bytes:
    """The recording as the octets of a pcapng file.

    What was recorded encrypted is written so, with its key log; everything else as plain HTTP/2.
    """
    blocks = [_section_header(application), _interface()]
    if recording.key_log and recording.encrypted:
        secrets = recording.key_log.encode()
        blocks.append(_block(DECRYPTION_SECRETS, struct.pack("<II", TLS_KEY_LOG, len(secrets)) + _padded(secrets)))
        chunks: Iterable[Chunk] = recording.encrypted
    else:
        chunks = recording.chunks
    connection = _Connection(recording.client, recording.server, recording.start_time)
    blocks.extend(_packet(time, data) for time, data in connection.packets(chunks, handshake=_has_start(recording)))
    return b"".join(blocks)


def _has_start(recording: Recording) -> bool:
    """Whether the recording has the beginning of the connection, as far as is known."""
    begins = recording.octets(Direction.CLIENT)[: len(PREFACE)] == PREFACE
    return recording.from_start and (recording.start_seen or begins)


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 4)


def _block(kind: int, body: bytes) -> bytes:
    size = len(body) + 12
    return struct.pack("<II", kind, size) + body + struct.pack("<I", size)


def _options(*options: tuple[int, bytes]) -> bytes:
    return b"".join(struct.pack("<HH", code, len(value)) + _padded(value) for code, value in options) + bytes(4)


def _section_header(application: str) -> bytes:
    body = struct.pack("<IHHq", BYTE_ORDER_MAGIC, 1, 0, -1)
    return _block(SECTION_HEADER, body + _options((OPTION_APPLICATION, application.encode())))


def _interface() -> bytes:
    body = struct.pack("<HHI", LINKTYPE_RAW, 0, 0)
    return _block(INTERFACE, body + _options((OPTION_RESOLUTION, NANOSECONDS)))


def _packet(nanoseconds: int, data: bytes) -> bytes:
    head = struct.pack("<IIIII", 0, nanoseconds >> 32, nanoseconds & 0xFFFFFFFF, len(data), len(data))
    return _block(ENHANCED_PACKET, head + _padded(data))


class _Connection:
    """Makes the packets of one TCP connection."""

    def __init__(self, client: str, server: str, start_time: float) -> None:
        client_address, client_port = _address(client, "127.0.0.1", CLIENT_PORT)
        server_address, server_port = _address(server, "127.0.0.2", 50_051)
        self.addresses = {Direction.CLIENT: client_address, Direction.SERVER: server_address}
        self.ports = {Direction.CLIENT: client_port, Direction.SERVER: server_port}
        self.next = dict.fromkeys(Direction, 1000)
        self.start = start_time
        self.identification = 0

    def packets(self, chunks: Iterable[Chunk], *, handshake: bool) -> Iterable[tuple[int, bytes]]:
        client, server = Direction.CLIENT, Direction.SERVER
        time = _nanoseconds(self.start)
        if handshake:
            yield time, self.segment(client, b"", SYN)
            self.next[client] += 1
            yield time, self.segment(server, b"", SYN | ACK)
            self.next[server] += 1
            yield time, self.segment(client, b"", ACK)
        for chunk in chunks:
            time = _nanoseconds(self.start, chunk.time)
            # A gap of unknown length is shown as one octet: enough for a dissector to see that something is missing.
            self.next[chunk.direction] += 1 if chunk.lost is None else chunk.lost
            for place in range(0, len(chunk.data), SEGMENT):
                data = chunk.data[place : place + SEGMENT]
                yield time, self.segment(chunk.direction, data, PSH | ACK)
                self.next[chunk.direction] += len(data)
                yield time, self.segment(chunk.direction.other, b"", ACK)

    def segment(self, sender: Direction, data: bytes, flags: int) -> bytes:
        """One packet: IPv4 header (RFC 791), TCP header (RFC 9293), data."""
        receiver = sender.other
        acknowledged = self.next[receiver] if flags & ACK else 0
        head = struct.pack(
            "!HHIIBBHHH",
            self.ports[sender],
            self.ports[receiver],
            self.next[sender] & 0xFFFFFFFF,
            acknowledged & 0xFFFFFFFF,
            5 << 4,
            flags,
            65_535,
            0,
            0,
        )
        addresses = self.addresses[sender] + self.addresses[receiver]
        pseudo = addresses + struct.pack("!BBH", 0, TCP, len(head) + len(data))
        checksum = _checksum(pseudo + head + data)
        tcp = head[:16] + struct.pack("!H", checksum) + head[18:] + data
        self.identification = (self.identification + 1) & 0xFFFF
        ip = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(tcp), self.identification, 0x4000, 64, TCP, 0) + addresses
        return ip[:10] + struct.pack("!H", _checksum(ip)) + ip[12:] + tcp


def _nanoseconds(*seconds: float) -> int:
    """The sum, as far as a time of pcapng can be it: 64 bits without a sign."""
    total = sum(round(part * 1e9) if math.isfinite(part) else 0 for part in seconds)
    return min(max(total, 0), 2**64 - 1)


def _address(text: str, default: str, default_port: int) -> tuple[bytes, int]:
    """An IPv4 address and a port; what is neither gets made-up ones."""
    host, _, port = text.rpartition(":")
    try:
        address = ipaddress.IPv4Address(host)
    except ValueError:
        address = ipaddress.IPv4Address(default)
    return address.packed, int(port) if port.isdecimal() and 0 < int(port) < 65_536 else default_port


def _checksum(data: bytes) -> int:
    """The Internet checksum (RFC 1071)."""
    if len(data) % 2:
        data += b"\0"
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF
