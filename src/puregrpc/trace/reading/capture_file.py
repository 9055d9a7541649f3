"""The containers of packet captures: pcapng (draft-ietf-opsawg-pcapng) and classic pcap (draft-ietf-opsawg-pcap).

They are read here and not by the packet library, because that does not know several interfaces with resolutions of
their own nor the Decryption Secrets Block. Packets and their link types come out; what they hold is for others.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field

from puregrpc.errors import InvalidArgument

__all__ = ["Capture", "Packet", "is_capture", "read_capture_file"]

PCAPNG_MAGIC = b"\x0a\x0d\x0d\x0a"
PCAP_MAGICS = {
    b"\xa1\xb2\xc3\xd4": (">", 1000),
    b"\xd4\xc3\xb2\xa1": ("<", 1000),
    b"\xa1\xb2\x3c\x4d": (">", 1),
    b"\x4d\x3c\xb2\xa1": ("<", 1),
    b"\xa1\xb2\xcd\x34": (">", 1000),
    b"\x34\xcd\xb2\xa1": ("<", 1000),
}
"""Magic -> byte order and nanoseconds of a unit of time."""

MODIFIED_MAGICS = {b"\xa1\xb2\xcd\x34", b"\x34\xcd\xb2\xa1"}
"""Those of a patch of libpcap whose heads of packets have 8 octets more."""
INTERFACE, PACKET, SIMPLE_PACKET, ENHANCED_PACKET, DECRYPTION_SECRETS = 1, 2, 3, 6, 10
"""Types of blocks; PACKET is the obsolete one, which files of old programs have."""

TLS_KEY_LOG = 0x544C534B
TIME_RESOLUTION, TIME_OFFSET = 9, 14


@dataclass(frozen=True, slots=True)
class Packet:
    """One packet: when it was seen (nanoseconds since 1970), what it begins with, and its octets.

    ``original_length`` is more than ``len(data)`` if the capture kept only the beginning.
    """

    nanoseconds: int
    link_type: int
    data: bytes
    original_length: int


@dataclass(slots=True)
class Capture:
    """What a capture file holds."""

    packets: list[Packet] = field(default_factory=list)
    key_logs: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def is_capture(data: bytes) -> bool:
    """Whether a file begins as pcapng or pcap does."""
    return data[:4] == PCAPNG_MAGIC or data[:4] in PCAP_MAGICS


def read_capture_file(data: bytes, name: str = "<capture>") -> Capture:
    """The packets of a pcapng or pcap file. A file that ends early yields what is there, with a note."""
    if data[:4] == PCAPNG_MAGIC:
        return _read_pcapng(data, name)
    if data[:4] in PCAP_MAGICS:
        return _read_pcap(data, name)
    raise InvalidArgument(f"{name}: neither pcapng nor pcap")


def _read_pcap(data: bytes, name: str) -> Capture:
    order, unit = PCAP_MAGICS[data[:4]]
    head = 24 if data[:4] in MODIFIED_MAGICS else 16
    if len(data) < 24:
        raise InvalidArgument(f"{name}: the file header of pcap has 24 octets, and only {len(data)} are there")
    (link_type,) = struct.unpack_from(order + "I", data, 20)
    link_type &= 0x0FFFFFFF
    capture = Capture()
    position = 24
    while position < len(data):
        if position + head > len(data):
            capture.notes.append(f"the file ends inside the head of packet {len(capture.packets)}")
            break
        seconds, fraction, held, original = struct.unpack_from(order + "IIII", data, position)
        position += head
        if position + held > len(data):
            capture.notes.append(f"the file ends inside packet {len(capture.packets)}")
            break
        nanoseconds = seconds * 10**9 + fraction * unit
        capture.packets.append(Packet(nanoseconds, link_type, data[position : position + held], original))
        position += held
    return capture


@dataclass(frozen=True, slots=True)
class _Interface:
    link_type: int
    kept: int = 0
    """The most octets of a packet that are kept; 0 stands for all of them."""
    units: int = 10**6
    """Units of time in a second."""
    offset: int = 0


def _read_pcapng(data: bytes, name: str) -> Capture:
    capture = Capture()
    interfaces: list[_Interface] = []
    order = "<"
    position = 0
    while position < len(data):
        if data[position : position + 4] == PCAPNG_MAGIC:
            magic = data[position + 8 : position + 12]
            order = "<" if magic == b"\x4d\x3c\x2b\x1a" else ">"
            if magic not in (b"\x4d\x3c\x2b\x1a", b"\x1a\x2b\x3c\x4d"):
                if not position:
                    raise InvalidArgument(f"{name}: a pcapng file without its byte-order magic")
                capture.notes.append(f"no byte-order magic at octet {position}: the rest of the file is not read")
                break
            interfaces = []
        if position + 12 > len(data):
            capture.notes.append("the file ends inside the head of a block")
            break
        kind, size = struct.unpack_from(order + "II", data, position)
        if size < 12 or size % 4 or position + size > len(data):
            capture.notes.append(f"the block at octet {position} does not fit: the rest of the file is not read")
            break
        _read_block(capture, interfaces, order, kind, data[position + 8 : position + size - 4])
        position += size
    return capture


def _read_block(capture: Capture, interfaces: list[_Interface], order: str, kind: int, body: bytes) -> None:
    if kind == INTERFACE and len(body) >= 8:
        interfaces.append(_read_interface(order, body))
    elif kind in (ENHANCED_PACKET, PACKET) and len(body) >= 20:
        number, high, low, held, original = struct.unpack_from(order + "IIIII", body)
        if kind == PACKET:
            (number,) = struct.unpack_from(order + "H", body)
        if number >= len(interfaces) or 20 + held > len(body):
            capture.notes.append(f"packet {len(capture.packets)} is not readable")
            return
        interface = interfaces[number]
        nanoseconds = (high << 32 | low) * 10**9 // interface.units + interface.offset * 10**9
        capture.packets.append(Packet(nanoseconds, interface.link_type, body[20 : 20 + held], original))
    elif kind == SIMPLE_PACKET and len(body) >= 4 and interfaces:
        (original,) = struct.unpack_from(order + "I", body)
        held = min(original, interfaces[0].kept or original)
        last = capture.packets[-1].nanoseconds if capture.packets else 0
        capture.packets.append(Packet(last, interfaces[0].link_type, body[4 : 4 + held], original))
    elif kind == DECRYPTION_SECRETS and len(body) >= 8:
        secrets, size = struct.unpack_from(order + "II", body)
        if secrets == TLS_KEY_LOG:
            capture.key_logs.append(body[8 : 8 + size].decode("ascii", "replace"))


def _read_interface(order: str, body: bytes) -> _Interface:
    link_type, _, kept = struct.unpack_from(order + "HHI", body)
    units, offset = 10**6, 0
    position = 8
    while position + 4 <= len(body):
        code, size = struct.unpack_from(order + "HH", body, position)
        value = body[position + 4 : position + 4 + size]
        if code == TIME_RESOLUTION and size == 1 and value:
            exponent = value[0] & 0x7F
            units = 2**exponent if value[0] & 0x80 else 10**exponent
        elif code == TIME_OFFSET and len(value) == 8:
            (offset,) = struct.unpack(order + "q", value)
        elif code == 0:
            break
        position += 4 + size + -size % 4
    return _Interface(link_type, kept, units, offset)
