"""Packets as links and tunnels carry them, and in fragments."""

from __future__ import annotations

import gzip
import random
import struct
import time
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.trace.conversations import Script, assert_every_octet_is_explained
from tests.trace.test_explainer import whole_conversation
from tests.trace.test_reading import packets_of, pcap, same_octets

from puregrpc.errors import InvalidArgument
from puregrpc.trace import Recording, explain
from puregrpc.trace.reading import read_recordings
from puregrpc.trace.reading.capture_file import Packet, read_capture_file
from puregrpc.trace.reading.packets import PacketReader
from puregrpc.trace.showing.pcapng import write_pcapng

ETHERNET = bytes(12)
Wrap = Callable[[bytes], bytes]


def ipv4(payload: bytes, protocol: int, *, identification: int = 1, fragment: int = 0) -> bytes:
    head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(payload), identification, fragment, 64, protocol, 0)
    return head + bytes((10, 0, 0, 1, 10, 0, 0, 2)) + payload


def ipv6(payload: bytes, following: int, *extensions: bytes) -> bytes:
    body = b"".join(extensions) + payload
    return struct.pack("!IHBB", 6 << 28, len(body), following, 64) + bytes(15) + b"\1" + bytes(15) + b"\2" + body


def udp(payload: bytes, port: int) -> bytes:
    return struct.pack("!HHHH", 1234, port, 8 + len(payload), 0) + payload


def in_ethernet(packet: bytes, kind: int = 0x0800) -> bytes:
    return ETHERNET + struct.pack("!H", kind) + packet


WRAPS: dict[str, tuple[int, Wrap]] = {
    "VLAN": (1, lambda p: ETHERNET + bytes.fromhex("8100 0005 0800") + p),
    "QinQ": (1, lambda p: ETHERNET + bytes.fromhex("88a8 0005 8100 0006 0800") + p),
    "LLC/SNAP": (1, lambda p: ETHERNET + struct.pack("!H", len(p) + 8) + b"\xaa\xaa\x03\0\0\0\x08\0" + p),
    "PPPoE": (1, lambda p: in_ethernet(struct.pack("!BBHHH", 0x11, 0, 7, len(p) + 2, 0x21) + p, 0x8864)),
    "PPPoE, compressed protocol": (1, lambda p: in_ethernet(bytes.fromhex("1100 0007 0000 21") + p, 0x8864)),
    "MPLS": (1, lambda p: in_ethernet(bytes.fromhex("00010040 00011140") + p, 0x8847)),
    "MPLS with Ethernet": (1, lambda p: in_ethernet(bytes.fromhex("00011140 00000000") + in_ethernet(p), 0x8847)),
    "GRE": (101, lambda p: ipv4(bytes.fromhex("0000 0800") + p, 47)),
    "GRE with everything": (101, lambda p: ipv4(bytes.fromhex("b000 0800") + bytes(12) + p, 47)),
    "PPTP": (101, lambda p: ipv4(bytes.fromhex("3081 880b") + bytes(12) + b"\xff\x03\x00\x21" + p, 47)),
    "GRE with Ethernet": (101, lambda p: ipv4(bytes.fromhex("0000 6558") + in_ethernet(p), 47)),
    "ERSPAN I": (101, lambda p: ipv4(bytes.fromhex("0000 88be") + in_ethernet(p), 47)),
    "ERSPAN II": (101, lambda p: ipv4(bytes.fromhex("1000 88be 00000001") + bytes(8) + in_ethernet(p), 47)),
    "ERSPAN III": (101, lambda p: ipv4(bytes.fromhex("1000 22eb 00000001") + bytes(12) + in_ethernet(p), 47)),
    "ERSPAN III with more": (
        101,
        lambda p: ipv4(bytes.fromhex("1000 22eb 00000001") + bytes(11) + b"\1" + bytes(8) + in_ethernet(p), 47),
    ),
    "IP in IP": (101, lambda p: ipv4(p, 4)),
    "IPv4 in IPv6": (101, lambda p: ipv6(p, 4)),
    "IPv6 extensions": (101, lambda p: ipv6(ipv4(p, 4), 0, bytes((60, 0)) + bytes(6), bytes((4, 1)) + bytes(14))),
    "authentication header": (101, lambda p: ipv6(p, 51, bytes((4, 4)) + bytes(22))),
    "VXLAN": (1, lambda p: in_ethernet(ipv4(udp(bytes.fromhex("08000000 00000500") + in_ethernet(p), 4789), 17))),
    "GENEVE": (1, lambda p: in_ethernet(ipv4(udp(b"\1\0\x65\x58" + bytes(8) + in_ethernet(p), 6081), 17))),
    "VXLAN in GRE in VLAN": (
        1,
        lambda p: (
            ETHERNET + bytes.fromhex("8100 0005 0800")
            + ipv4(bytes.fromhex("0000 0800") + ipv4(udp(b"\x08" + bytes(7) + in_ethernet(p), 4789), 17), 47)
        ),
    ),
    "PPP": (9, lambda p: b"\xff\x03\x00\x21" + p),
    "PPP, all compressed": (9, lambda p: b"\x21" + p),
    "PPP over Ethernet": (51, lambda p: struct.pack("!BBHHH", 0x11, 0, 7, len(p) + 2, 0x21) + p),
    "Cisco HDLC": (104, lambda p: bytes.fromhex("0f00 0800") + p),
    "radiotap": (127, lambda p: b"\0\0\x0a" + bytes(7) + b"\x08\1" + bytes(22) + b"\xaa\xaa\x03\0\0\0\x08\0" + p),
    "802.11 with QoS": (105, lambda p: bytes.fromhex("8801") + bytes(24) + b"\xaa\xaa\x03\0\0\0\x08\0" + p),
    "NFLOG": (239, lambda p: bytes.fromhex("02000000 0500 0100 ff000000") + struct.pack("<HH", len(p) + 4, 9) + p),
    "SLL with VLAN": (113, lambda p: bytes(14) + bytes.fromhex("8100 0005 0800") + p),
    "SLL2 with VLAN": (276, lambda p: bytes.fromhex("8100") + bytes(18) + bytes.fromhex("0005 0800") + p),
}  # fmt: skip


@pytest.mark.parametrize("name", WRAPS)
def test_what_is_around_a_packet(name: str) -> None:
    link, wrap = WRAPS[name]
    written = whole_conversation()
    wrapped = [Packet(p.nanoseconds, link, wrap(p.data), len(wrap(p.data))) for p in packets_of(written)]
    (read,) = read_recordings(pcap(wrapped, link))
    same_octets(read, written)
    assert explain(read).problems() == ()


@given(st.sampled_from(sorted(WRAPS)), st.data())
def test_broken_packets_are_passed_over(name: str, data: st.DataObject) -> None:
    link, wrap = WRAPS[name]
    packet = bytearray(wrap(packets_of(whole_conversation())[3].data))
    for _ in range(data.draw(st.integers(1, 5))):
        packet[data.draw(st.integers(0, len(packet) - 1))] = data.draw(st.integers(0, 255))
    cut = bytes(packet[: data.draw(st.integers(0, len(packet)))])
    PacketReader().segment(Packet(0, link, cut, len(packet)))


@given(st.sampled_from([*range(20), 50, 51, 101, 104, 105, 108, 113, 127, 228, 239, 276]), st.binary(max_size=60))
def test_any_octets_are_a_packet_or_passed_over(link: int, octets: bytes) -> None:
    reader = PacketReader()
    if reader.reads(link):
        reader.segment(Packet(0, link, octets, len(octets)))


# -- fragments


def fragments(packet: bytes, size: int, identification: int) -> list[bytes]:
    """An IPv4 packet in fragments of so many octets."""
    body = packet[20:]
    pieces = []
    for place in range(0, len(body), size):
        more = 0x2000 if place + size < len(body) else 0
        head = bytearray(packet[:20])
        piece = body[place : place + size]
        struct.pack_into("!HHH", head, 2, 20 + len(piece), identification, more | place // 8)
        pieces.append(bytes(head) + piece)
    return pieces


def fragments_6(packet: bytes, size: int, identification: int) -> list[bytes]:
    """The same packet as IPv6, in fragments."""
    body = packet[20:]
    own = bytes(15) + packet[15:16], bytes(15) + packet[19:20]
    pieces = []
    for place in range(0, len(body), size):
        more = place + size < len(body)
        piece = struct.pack("!BBHI", 6, 0, place | more, identification) + body[place : place + size]
        pieces.append(struct.pack("!IHBB", 6 << 28, len(piece), 44, 64) + own[0] + own[1] + piece)
    return pieces


def in_fragments(recording: Recording, version: int, order: int) -> list[Packet]:
    cut = fragments if version == 4 else fragments_6
    packets = []
    for number, packet in enumerate(packets_of(recording)):
        pieces = cut(packet.data, 16, number)
        random.Random(order).shuffle(pieces)
        packets += [Packet(packet.nanoseconds, 101, piece, len(piece)) for piece in pieces * (1 + order % 2)]
    return packets


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize("order", range(4))
def test_fragments_are_put_together(version: int, order: int) -> None:
    written = whole_conversation()
    (read,) = read_recordings(pcap(in_fragments(written, version, order)))
    same_octets(read, written)
    assert explain(read).problems() == ()


@pytest.mark.parametrize("version", [4, 6])
def test_fragments_that_are_missing_are_said(version: int) -> None:
    script = Script().unary(bytes(100), b"")
    packets = in_fragments(script.recording(), version, 0)
    large = max(range(len(packets)), key=lambda n: sum(p.nanoseconds == packets[n].nanoseconds for p in packets))
    (read,) = read_recordings(pcap(packets[:large] + packets[large + 1 :]))
    assert "1 IP packets are missing: the capture does not have all of their fragments" in read.notes
    assert_every_octet_is_explained(explain(read))


def test_fragments_without_end_take_no_time() -> None:
    start = time.process_time()
    reader = PacketReader()
    for number in range(20_000):
        data = ipv4(bytes(8), 6, identification=number % 7, fragment=0x2000 | number % 8000)
        reader.segment(Packet(0, 101, data, len(data)))
    for number in range(20_000):
        data = ipv4(bytes(8), 6, identification=number, fragment=0x2001)
        reader.segment(Packet(0, 101, data, len(data)))
    assert time.process_time() - start < 5
    assert "IP packets are missing" in reader.fragments.notes()[0]


# -- files


def test_captures_in_gzip() -> None:
    written = whole_conversation()
    whole = write_pcapng(written)
    for data in (gzip.compress(whole), gzip.compress(whole[:100]) + gzip.compress(whole[100:])):
        (read,) = read_recordings(data)
        same_octets(read, written)
    with pytest.raises(InvalidArgument, match="not gzip"):
        read_recordings(b"\x1f\x8b nothing")


def test_a_capture_that_inflates_to_far_more_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("puregrpc.trace.reading.MAX_INFLATED", 1 << 20)
    with pytest.raises(InvalidArgument, match="inflates to more than"):
        read_recordings(gzip.compress(bytes(4 << 20)))


@pytest.mark.parametrize("order", ["<", ">"])
def test_pcap_with_more_in_the_heads_of_packets(order: str) -> None:
    written = whole_conversation()
    out = [struct.pack(order + "IHHiIII", 0xA1B2CD34, 2, 4, 0, 0, 262_144, 101)]
    for packet in packets_of(written):
        seconds, rest = divmod(packet.nanoseconds, 10**9)
        out.append(struct.pack(order + "IIII", seconds, rest // 1000, len(packet.data), len(packet.data)))
        out.append(bytes(8) + packet.data)
    (read,) = read_recordings(b"".join(out))
    same_octets(read, written)


def test_times_are_exact_to_the_nanosecond() -> None:
    first = 1_700_000_000_123_456_789
    packets = [
        Packet(first + n * 1_000_001, 101, p.data, len(p.data)) for n, p in enumerate(packets_of(whole_conversation()))
    ]
    assert [p.nanoseconds for p in read_capture_file(pcap(packets, nano=True)).packets] == [
        p.nanoseconds for p in packets
    ]
    (read,) = read_recordings(pcap(packets, nano=True))
    nanoseconds = [round(chunk.time * 1e9) for chunk in read.chunks]
    assert all(time % 1_000_001 == 0 for time in nanoseconds)
    assert nanoseconds[0] == 0
