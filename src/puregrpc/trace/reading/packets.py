"""From packets to TCP segments, through dpkt: Ethernet, Linux cooked captures, loopback and raw IP.

dpkt is an extra (``puregrpc[trace]``); importing this module without it raises ImportError.
"""

from __future__ import annotations

import ipaddress
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

import dpkt

if TYPE_CHECKING:
    from puregrpc.trace.reading.capture_file import Packet

__all__ = ["LINK_TYPES", "Endpoint", "Segment", "read_segment"]

Endpoint = tuple[str, int]
"""An IP address and a port."""

NULL, ETHERNET, RAW, LOOP, LINUX_SLL, IPV4, IPV6, LINUX_SLL2 = 0, 1, 101, 108, 113, 228, 229, 276
RAW_OF_SYSTEMS = (12, 14)
"""What BSD and OpenBSD write for raw IP in place of 101."""

LINK_TYPES = {NULL, ETHERNET, RAW, LOOP, LINUX_SLL, IPV4, IPV6, LINUX_SLL2, *RAW_OF_SYSTEMS}
"""The link types that can be read (https://www.tcpdump.org/linktypes.html)."""

FIN, SYN, RST = 1, 2, 4
UNREADABLE = (dpkt.UnpackError, struct.error, IndexError, KeyError, ValueError, TypeError, AttributeError)
"""What dpkt raises for packets that are not what they say."""


@dataclass(frozen=True, slots=True)
class Segment:
    """One TCP segment. ``missing`` octets at its end were sent, but not kept by the capture."""

    time: float
    source: Endpoint
    destination: Endpoint
    sequence: int
    acknowledged: int | None
    syn: bool
    fin: bool
    rst: bool
    payload: bytes
    missing: int = 0


def read_segment(packet: Packet) -> Segment | None:
    """The TCP segment in a packet; None if there is none, or none that can be read."""
    try:
        return _segment(packet)
    except UNREADABLE:
        return None


def _network(packet: Packet) -> object:
    """The IP packet inside, as far as dpkt reads it."""
    data = packet.data
    link = packet.link_type
    if link == ETHERNET:
        return dpkt.ethernet.Ethernet(data).data
    if link == LINUX_SLL:
        return dpkt.sll.SLL(data).data
    if link == LINUX_SLL2:
        return dpkt.sll2.SLL2(data).data
    start = 4 if link in (NULL, LOOP) else 0
    if len(data) <= start:
        return None
    return (dpkt.ip.IP if data[start] >> 4 == 4 else dpkt.ip6.IP6)(data[start:])


def _segment(packet: Packet) -> Segment | None:
    network = _network(packet)
    if not isinstance(network, dpkt.ip.IP | dpkt.ip6.IP6) or not isinstance(network.data, dpkt.tcp.TCP):
        return None
    tcp = network.data
    payload = bytes(tcp.data)
    missing = 0
    if packet.original_length > len(packet.data):
        missing = max(_payload_length(network, tcp) - len(payload), 0)
    return Segment(
        packet.time,
        (str(ipaddress.ip_address(network.src)), tcp.sport),
        (str(ipaddress.ip_address(network.dst)), tcp.dport),
        tcp.seq,
        tcp.ack if tcp.flags & 16 else None,
        bool(tcp.flags & SYN),
        bool(tcp.flags & FIN),
        bool(tcp.flags & RST),
        payload,
        missing,
    )


def _payload_length(network: dpkt.ip.IP | dpkt.ip6.IP6, tcp: dpkt.tcp.TCP) -> int:
    """How many octets of TCP payload the IP header says there are."""
    header = int(tcp.off) * 4
    if isinstance(network, dpkt.ip.IP):
        return int(network.len) - int(network.hl) * 4 - header
    extensions = sum(len(extension) for extension in network.all_extension_headers)
    return int(network.plen) - extensions - header
