"""From packets to TCP segments, through whatever is around them: links, tunnels, fragments.

Links: https://www.tcpdump.org/linktypes.html. IP: RFC 791, RFC 8200; TCP: RFC 9293; GRE: RFC 2784, 2890, 2637; VXLAN:
RFC 7348; GENEVE: RFC 8926; PPPoE: RFC 2516; MPLS: RFC 3032; ERSPAN: draft-foschiano-erspan.
"""

from __future__ import annotations

import ipaddress
import struct
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from puregrpc.trace.reading.fragments import Fragments

if TYPE_CHECKING:
    from puregrpc.trace.reading.capture_file import Packet

__all__ = ["Endpoint", "PacketReader", "Segment"]

Endpoint = tuple[str, int]
"""An IP address and a port."""

FIN, SYN, RST, ACK = 1, 2, 4, 16
TCP_PROTOCOL, UDP, GRE, IP_IN_IP, IPV6_IN_IP, FRAGMENT = 6, 17, 47, 4, 41, 44
EXTENSIONS = {0, 43, 60, 135}
"""Extension headers of IPv6 that say their length in units of 8 octets: hop-by-hop, routing, destination, mobility."""
AUTHENTICATION = 51

ETHERTYPE_IPV4, ETHERTYPE_IPV6, ETHERTYPE_ETHERNET = 0x0800, 0x86DD, 0x6558
VLAN_TAGS = {0x8100, 0x88A8, 0x9100, 0x9200}
MPLS, PPPOE_SESSION, PPP_IN_GRE, ERSPAN, ERSPAN_3 = {0x8847, 0x8848}, 0x8864, 0x880B, 0x88BE, 0x22EB
SNAP = b"\xaa\xaa\x03\0\0\0"
VXLAN_PORTS, GENEVE_PORT = {4789, 8472}, 6081
MAX_LAYERS = 16
"""So many headers a packet may have around its TCP."""


@dataclass(frozen=True, slots=True)
class Segment:
    """One TCP segment. ``missing`` octets at its end were sent, but not kept by the capture.

    ``time`` is in nanoseconds since 1970.
    """

    time: int
    source: Endpoint
    destination: Endpoint
    sequence: int
    acknowledged: int | None
    syn: bool
    fin: bool
    rst: bool
    payload: bytes
    missing: int = 0


class _NoSegment(Exception):  # noqa: N818 - control flow inside this module
    """There is no TCP in a packet, or none that can be read."""


class PacketReader:
    """Finds the TCP segments in packets, one after another."""

    def __init__(self) -> None:
        self.fragments = Fragments()
        self._time = 0
        self._links: dict[int, Callable[[bytes, int, int], Segment]] = {
            0: self._loopback,
            1: self._ethernet,
            9: self._ppp,
            12: self._ip,
            14: self._ip,
            50: self._ppp,
            51: self._pppoe,
            101: self._ip,
            104: self._cisco_hdlc,
            105: self._wireless,
            108: self._loopback,
            113: self._cooked,
            127: self._radiotap,
            228: self._ip,
            229: self._ip,
            239: self._netfilter,
            276: self._cooked_2,
        }
        """By link type; 12 and 14 are what BSD and OpenBSD write for raw IP in place of 101."""

    def reads(self, link_type: int) -> bool:
        """Whether packets of a link type can be read."""
        return link_type in self._links

    def segment(self, packet: Packet) -> Segment | None:
        """The TCP segment in a packet; None if there is none, or none that can be read, or not yet all of it."""
        self._time = packet.nanoseconds
        try:
            return self._links[packet.link_type](packet.data, 0, MAX_LAYERS)
        except (_NoSegment, struct.error, IndexError):
            return None

    # -- links; each takes the octets, the place where it begins, and how many layers there may still be

    def _ethernet(self, data: bytes, at: int, layers: int) -> Segment:
        return self._ethertype(_number(data, at + 12), data, at + 14, layers)

    def _ethertype(self, kind: int, data: bytes, at: int, layers: int) -> Segment:
        """What an EtherType says that begins at a place."""
        if layers <= 0:
            raise _NoSegment
        layers -= 1
        if kind == ETHERTYPE_IPV4:
            return self._ipv4(data, at, layers)
        if kind == ETHERTYPE_IPV6:
            return self._ipv6(data, at, layers)
        if kind in VLAN_TAGS:
            return self._ethertype(_number(data, at + 2), data, at + 4, layers)
        if kind == ETHERTYPE_ETHERNET:
            return self._ethernet(data, at, layers)
        if kind in MPLS:
            return self._mpls(data, at, layers)
        if kind == PPPOE_SESSION:
            return self._ppp(data, at + 6, layers)
        if kind == PPP_IN_GRE:
            return self._ppp(data, at, layers)
        if kind < 0x600 and data[at : at + 6] == SNAP:  # IEEE 802.3 with LLC and SNAP
            return self._ethertype(_number(data, at + 6), data, at + 8, layers)
        raise _NoSegment

    def _ip(self, data: bytes, at: int, layers: int) -> Segment:
        """IPv4 or IPv6, as the first four bits say."""
        return (self._ipv4 if data[at] >> 4 == 4 else self._ipv6)(data, at, layers)

    def _loopback(self, data: bytes, at: int, layers: int) -> Segment:
        return self._ip(data, at + 4, layers)

    def _cooked(self, data: bytes, at: int, layers: int) -> Segment:
        return self._ethertype(_number(data, at + 14), data, at + 16, layers)

    def _cooked_2(self, data: bytes, at: int, layers: int) -> Segment:
        return self._ethertype(_number(data, at), data, at + 20, layers)

    def _ppp(self, data: bytes, at: int, layers: int) -> Segment:
        if data[at : at + 2] == b"\xff\x03":
            at += 2
        size = 1 if data[at] & 1 else 2  # RFC 1661, section 6.5: the protocol may be compressed
        protocol = int.from_bytes(data[at : at + size], "big")
        if protocol not in (0x21, 0x57):
            raise _NoSegment
        return self._ip(data, at + size, layers)

    def _pppoe(self, data: bytes, at: int, layers: int) -> Segment:
        return self._ppp(data, at + 6, layers)

    def _cisco_hdlc(self, data: bytes, at: int, layers: int) -> Segment:
        return self._ethertype(_number(data, at + 2), data, at + 4, layers)

    def _mpls(self, data: bytes, at: int, layers: int) -> Segment:
        while not data[at + 2] & 1:  # the bottom of the stack
            at += 4
        at += 4
        if data[at] >> 4 in (4, 6):
            return self._ip(data, at, layers)
        return self._ethernet(data, at + (4 if data[at] >> 4 == 0 else 0), layers)  # RFC 4385: a control word

    def _radiotap(self, data: bytes, at: int, layers: int) -> Segment:
        return self._wireless(data, at + int.from_bytes(data[at + 2 : at + 4], "little"), layers)

    def _wireless(self, data: bytes, at: int, layers: int) -> Segment:
        """IEEE 802.11: frames of data that are not encrypted."""
        kind, flags = data[at], data[at + 1]
        if kind & 0x0C != 0x08 or kind & 0x40 or flags & 0x40:
            raise _NoSegment
        at += 24
        at += 6 if flags & 3 == 3 else 0
        if kind & 0x80:
            at += 6 if flags & 0x80 else 2
        if data[at : at + 6] != SNAP:
            raise _NoSegment
        return self._ethertype(_number(data, at + 6), data, at + 8, layers)

    def _netfilter(self, data: bytes, at: int, layers: int) -> Segment:
        """NFLOG: attributes, of which number 9 is the packet."""
        at += 4
        while at + 4 <= len(data):
            size, kind = struct.unpack_from("<HH", data, at)
            if kind == 9:
                return self._ip(data, at + 4, layers)
            at += max(size + -size % 4, 4)
        raise _NoSegment

    # -- IP

    def _ipv4(self, data: bytes, at: int, layers: int) -> Segment:
        first, _, total, identification, fragment, _, protocol = struct.unpack_from("!BBHHHBB", data, at)
        header = (first & 15) * 4
        if first >> 4 != 4 or header < 20:
            raise _NoSegment
        ends = data[at + 12 : at + 16], data[at + 16 : at + 20]
        size = (total or len(data) - at) - header  # 0 where the network card cuts what is sent
        start = at + header
        offset, more = (fragment & 0x1FFF) * 8, bool(fragment & 0x2000)
        if offset or more:
            key = (*ends, identification, protocol)
            return self._fragment(key, data[start : start + size], size, offset, protocol, more=more, layers=layers)
        return self._protocol(protocol, data, start, start + size, ends, layers)

    def _ipv6(self, data: bytes, at: int, layers: int) -> Segment:
        first, size, following = struct.unpack_from("!IHB", data, at)
        if first >> 28 != 6:
            raise _NoSegment
        ends = data[at + 8 : at + 24], data[at + 24 : at + 40]
        start = at + 40
        end = start + size if size else len(data)
        while True:
            if following in EXTENSIONS:
                following, start = data[start], start + (data[start + 1] + 1) * 8
            elif following == AUTHENTICATION:
                following, start = data[start], start + (data[start + 1] + 2) * 4
            elif following == FRAGMENT:
                following, _, fragment, identification = struct.unpack_from("!BBHI", data, start)
                start += 8
                offset, more = fragment & 0xFFF8, bool(fragment & 1)
                if offset or more:
                    key = (*ends, identification, following)
                    piece = data[start:end]
                    return self._fragment(key, piece, end - start, offset, following, more=more, layers=layers)
            else:
                return self._protocol(following, data, start, end, ends, layers)

    def _fragment(
        self,
        key: tuple[bytes, bytes, int, int],
        piece: bytes,
        size: int,
        offset: int,
        protocol: int,
        *,
        more: bool,
        layers: int,
    ) -> Segment:
        if len(piece) < size:
            self.fragments.cut += 1
            raise _NoSegment
        whole = self.fragments.add(key, offset, piece, more=more)
        if whole is None:
            raise _NoSegment
        return self._protocol(protocol, whole, 0, len(whole), (key[0], key[1]), layers)

    def _protocol(
        self, protocol: int, data: bytes, at: int, end: int, ends: tuple[bytes, bytes], layers: int
    ) -> Segment:
        """What an IP packet carries from ``at`` to ``end``, of which the capture may have less."""
        if protocol == TCP_PROTOCOL:
            return self._tcp(data, at, end, ends)
        if layers <= 0:
            raise _NoSegment
        if protocol in (IP_IN_IP, IPV6_IN_IP):
            return self._ip(data, at, layers - 1)
        if protocol == GRE:
            return self._gre(data, at, layers - 1)
        if protocol == UDP:
            port = _number(data, at + 2)
            if port in VXLAN_PORTS and data[at + 8] & 8:
                return self._ethernet(data, at + 16, layers - 1)
            if port == GENEVE_PORT:
                return self._ethertype(_number(data, at + 10), data, at + 16 + (data[at + 8] & 63) * 4, layers - 1)
        raise _NoSegment

    def _gre(self, data: bytes, at: int, layers: int) -> Segment:
        flags, kind = struct.unpack_from("!HH", data, at)
        if flags & 0x4000:  # source routing, which nobody uses
            raise _NoSegment
        at += 4 + 4 * (flags & 0xB000).bit_count() + (4 if flags & 7 == 1 and flags & 0x80 else 0)
        if kind == ERSPAN:  # version 1 has no header, and no sequence numbers either
            return self._ethernet(data, at + (8 if flags & 0x1000 else 0), layers)
        if kind == ERSPAN_3:
            return self._ethernet(data, at + (20 if data[at + 11] & 1 else 12), layers)
        return self._ethertype(kind, data, at, layers)

    def _tcp(self, data: bytes, at: int, end: int, ends: tuple[bytes, bytes]) -> Segment:
        source, destination, sequence, acknowledged, offset, flags = struct.unpack_from("!HHIIBB", data, at)
        start = at + (offset >> 4) * 4
        if start < at + 20 or start > end or start > len(data):
            raise _NoSegment
        payload = data[start:end]
        return Segment(
            self._time,
            (_address(ends[0]), source),
            (_address(ends[1]), destination),
            sequence,
            acknowledged if flags & ACK else None,
            bool(flags & SYN),
            bool(flags & FIN),
            bool(flags & RST),
            payload,
            end - start - len(payload),
        )


def _number(data: bytes, at: int) -> int:
    """A number of 16 bits."""
    return data[at] << 8 | data[at + 1]


@lru_cache(maxsize=1024)
def _address(packed: bytes) -> str:
    return str(ipaddress.ip_address(packed))
