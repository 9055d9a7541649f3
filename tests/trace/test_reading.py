"""Recordings read from captures, hex dumps and JSON lines: the same octets, whichever way they came."""

from __future__ import annotations

import json
import random
import struct
import time
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.trace.conversations import Script, assert_every_octet_is_explained
from tests.trace.test_explainer import whole_conversation

from puregrpc.errors import InvalidArgument
from puregrpc.trace import Chunk, Direction, Recording, explain
from puregrpc.trace.reading import read_recordings
from puregrpc.trace.reading.capture_file import Packet, read_capture_file
from puregrpc.trace.showing.json_lines import explanation_lines, recording_lines
from puregrpc.trace.showing.pcapng import write_pcapng

CLIENT, SERVER = Direction.CLIENT, Direction.SERVER
IPV4_TYPE = b"\x08\x00"
ETHERNET = bytes(12) + IPV4_TYPE
SLL = struct.pack("!HHH8s", 0, 1, 6, b"") + IPV4_TYPE
SLL2 = IPV4_TYPE + struct.pack("!HIHBB8s", 0, 1, 1, 0, 6, b"")
LINKS = {
    "Ethernet": (1, ETHERNET),
    "VLAN": (1, bytes(12) + b"\x81\x00\x00\x05" + IPV4_TYPE),
    "raw": (101, b""),
    "raw of BSD": (12, b""),
    "IPv4": (228, b""),
    "SLL": (113, SLL),
    "SLL2": (276, SLL2),
    "loopback": (0, struct.pack("<I", 2)),
    "loopback, big-endian": (0, struct.pack(">I", 2)),
    "LOOP": (108, struct.pack(">I", 2)),
}


def packets_of(recording: Recording) -> list[Packet]:
    return read_capture_file(write_pcapng(recording)).packets


def pcap(packets: Iterable[Packet], link: int = 101, head: bytes = b"", order: str = "<", nano: bool = False) -> bytes:
    magic = 0xA1B23C4D if nano else 0xA1B2C3D4
    out = [struct.pack(order + "IHHiIII", magic, 2, 4, 0, 0, 262_144, link)]
    for packet in packets:
        seconds, fraction = divmod(packet.nanoseconds // (1 if nano else 1000), 10**9 if nano else 10**6)
        data = head + packet.data
        out.append(struct.pack(order + "IIII", seconds, fraction, len(data), packet.original_length + len(head)) + data)
    return b"".join(out)


def same_octets(recording: Recording, other: Recording) -> None:
    for direction in Direction:
        assert recording.octets(direction) == other.octets(direction)


def test_what_pcapng_keeps() -> None:
    written = whole_conversation()
    (read,) = read_recordings(write_pcapng(written))
    same_octets(read, written)
    assert [round(chunk.time, 6) for chunk in read.chunks] == [chunk.time for chunk in written.chunks]
    assert [chunk.direction for chunk in read.chunks] == [chunk.direction for chunk in written.chunks]
    assert (read.client, read.server, read.from_start) == ("127.0.0.1:49152", "127.0.0.2:50051", True)
    assert explain(read).problems() == ()


@pytest.mark.parametrize("link", LINKS)
@pytest.mark.parametrize("order", ["<", ">"])
def test_link_types_of_pcap(link: str, order: str) -> None:
    number, head = LINKS[link]
    written = whole_conversation()
    (read,) = read_recordings(pcap(packets_of(written), number, head, order, nano=order == ">"))
    same_octets(read, written)


def test_ipv6() -> None:
    packets = []
    for packet in packets_of(whole_conversation()):
        tcp = packet.data[20:]
        a, b = bytes(15) + b"\x01", bytes(15) + b"\x02"
        source, target = (a, b) if packet.data[12:16] == bytes([127, 0, 0, 1]) else (b, a)
        data = struct.pack("!IHBB", 6 << 28, len(tcp), 6, 64) + source + target + tcp
        packets.append(Packet(packet.nanoseconds, 101, data, len(data)))
    (read,) = read_recordings(pcap(packets))
    same_octets(read, whole_conversation())
    assert read.client == "[::1]:49152"


def test_repeated_and_reordered_segments() -> None:
    written = whole_conversation()
    packets = packets_of(written)
    for place in range(4, len(packets) - 6, 5):
        packets[place : place + 6] = packets[place : place + 6][::-1]
    packets[10:10] = packets[3:10]
    packets = [p for p in packets if len(p.data) > 40 or p.data[33] & 2]
    (read,) = read_recordings(pcap(packets))
    same_octets(read, written)


def test_lost_segments_are_said() -> None:
    written = whole_conversation()
    packets = packets_of(written)
    with_data = [place for place, packet in enumerate(packets) if len(packet.data) > 40]
    gone = with_data[6]
    lost = len(packets[gone].data) - 40
    (read,) = read_recordings(pcap(packets[:gone] + packets[gone + 1 :]))
    assert f"the capture has lost {lost} octets of this connection" in read.notes
    assert [chunk.lost for chunk in read.chunks if chunk.lost] == [lost]
    explanation = explain(read)
    assert_every_octet_is_explained(explanation)
    assert any("the recording is not complete" in problem for problem in explanation.problems())


def test_packets_that_were_cut_by_the_capture() -> None:
    script = Script().unary(bytes(500), b"")
    packets = [Packet(p.nanoseconds, 101, p.data[:200], len(p.data)) for p in packets_of(script.recording())]
    (read,) = read_recordings(pcap(packets))
    # 514 octets of DATA, of which the capture kept 160 behind the IP and TCP headers.
    assert [chunk.lost for chunk in read.chunks if chunk.lost] == [] or read.notes
    assert any("missing" in note or "lost" in note for note in read.notes)
    assert_every_octet_is_explained(explain(read))


def test_a_handshake_that_is_repeated_or_late() -> None:
    written = whole_conversation()
    packets = packets_of(written)
    for places in ([0, 1, 2, 0, 1, *range(3, 9), 0, 1, *range(9, len(packets))], [3, 0, 1, 2, *range(4, len(packets))]):
        (read,) = read_recordings(pcap([packets[place] for place in places]))
        same_octets(read, written)
        assert explain(read).problems() == ()


def test_ports_that_are_used_again() -> None:
    packets = packets_of(whole_conversation())
    later = []
    for packet in packets:
        data = bytearray(packet.data)
        for at in (24, 28):
            number = int.from_bytes(data[at : at + 4], "big")
            data[at : at + 4] = ((number + 77_777) & 0xFFFFFFFF if number else 0).to_bytes(4, "big")
        later.append(Packet(packet.nanoseconds + 9 * 10**9, 101, bytes(data), len(data)))
    read = read_recordings(pcap([*packets, *later]))
    assert len(read) == 2
    for recording in read:
        same_octets(recording, whole_conversation())


def test_sequence_numbers_that_begin_again_at_zero() -> None:
    packets = []
    for packet in packets_of(whole_conversation()):
        data = bytearray(packet.data)
        for at in (24, 28):
            number = (int.from_bytes(data[at : at + 4], "big") - 1100) & 0xFFFFFFFF
            data[at : at + 4] = number.to_bytes(4, "big")
        packets.append(Packet(packet.nanoseconds, 101, bytes(data), len(data)))
    for place in range(4, len(packets) - 6, 5):
        packets[place : place + 6] = packets[place : place + 6][::-1]
    (read,) = read_recordings(pcap(packets))
    same_octets(read, whole_conversation())


def test_many_holes_take_no_time() -> None:
    """A hole before each of many small segments, which nobody acknowledges."""
    data = bytearray(next(p.data for p in packets_of(whole_conversation()) if len(p.data) > 40)[:40] + b"x")
    data[2:4] = len(data).to_bytes(2, "big")
    packets = []
    for number in range(30_000):
        data[24:28] = (number * 100).to_bytes(4, "big")
        packets.append(Packet(0, 101, bytes(data), len(data)))
    before = time.process_time()
    (read,) = read_recordings(pcap(packets))
    assert time.process_time() - before < 15
    assert read.octets(CLIENT) + read.octets(SERVER) == b"x" * 30_000
    assert sum(chunk.lost or 0 for chunk in read.chunks) == 29_999 * 99


def block(order: str, kind: int, body: bytes) -> bytes:
    size = len(body) + -len(body) % 4 + 12
    return struct.pack(order + "II", kind, size) + body + bytes(-len(body) % 4) + struct.pack(order + "I", size)


@pytest.mark.parametrize("order", ["<", ">"])
def test_blocks_of_pcapng(order: str) -> None:
    """Each form of a packet: enhanced, obsolete, simple (cut at the interface's length), and blocks to pass over."""
    packets = packets_of(whole_conversation())
    out = [block(order, 0x0A0D0D0A, struct.pack(order + "IHHq", 0x1A2B3C4D, 1, 0, -1))]
    options = struct.pack(order + "HHBxxx", 9, 1, 0x80 | 20)
    out.append(block(order, 1, struct.pack(order + "HHI", 101, 0, 99) + options + bytes(4)))
    out.append(block(order, 0x0BAD, b"12345"))
    for number, packet in enumerate(packets):
        size, data = len(packet.data), packet.data
        ticks = number << 20
        if number % 3 == 0:
            body = struct.pack(order + "IIIII", 0, ticks >> 32, ticks & 0xFFFFFFFF, size, size) + data
            out.append(block(order, 6, body))
        elif number % 3 == 1:
            body = struct.pack(order + "HHIIII", 0, 0, ticks >> 32, ticks & 0xFFFFFFFF, size, size) + data
            out.append(block(order, 2, body))
        else:
            out.append(block(order, 3, struct.pack(order + "I", size) + data[:99]))
    capture = read_capture_file(b"".join(out))
    assert capture.notes == []
    assert [packet.nanoseconds for packet in capture.packets] == [
        10**9 * (n - (n % 3 == 2)) for n in range(len(packets))
    ]
    assert [packet.original_length for packet in capture.packets] == [len(packet.data) for packet in packets]
    whole = [packet.data[:99] if n % 3 == 2 else packet.data for n, packet in enumerate(packets)]
    assert [packet.data for packet in capture.packets] == whole


def test_a_capture_that_begins_mid_connection() -> None:
    script = Script().unary(b"\x0a\x01a", b"\x0a\x01b").unary(b"\x0a\x01c", b"\x0a\x01d", stream=3)
    packets = packets_of(script.recording())[22:]
    (read,) = read_recordings(pcap(packets))
    assert not read.from_start
    assert "who is the client is a guess" in read.notes[-1]
    assert read.server == "127.0.0.2:50051" or read.client == "127.0.0.2:50051"
    assert_every_octet_is_explained(explain(read))


@given(st.integers(0, 10_000), st.integers(1, 5))
def test_a_capture_that_begins_mid_connection_with_segments_exchanged(seed: int, reach: int) -> None:
    script = Script().unary(b"\x0a\x01a", b"\x0a\x01b")
    for number in range(6):
        script.ping(CLIENT, bytes([number]) * 8).ping(SERVER, bytes([number]) * 8, "ACK")
    packets = packets_of(script.recording())[23:]
    (expected,) = read_recordings(pcap(packets))
    draw = random.Random(seed)
    exchanged = sorted(enumerate(packets), key=lambda item: item[0] + draw.uniform(0, reach))
    (read,) = read_recordings(pcap([packet for _, packet in exchanged]))
    ends = {expected.client: expected, expected.server: expected}
    for direction, end in ((CLIENT, read.client), (SERVER, read.server)):
        same = CLIENT if ends[end].client == end else SERVER
        assert read.octets(direction) == expected.octets(same)
    assert not any(chunk.lost for chunk in read.chunks)


def test_the_end_of_a_connection_and_another_one_with_its_ports() -> None:
    packets = packets_of(whole_conversation())
    shifted = []
    for packet in packets:
        data = bytearray(packet.data)
        for at in (24, 28):
            number = struct.unpack_from("!I", data, at)[0]
            struct.pack_into("!I", data, at, (number + 500_000) & 0xFFFFFFFF if number else 0)
        shifted.append(Packet(packet.nanoseconds + 10**9, 101, bytes(data), len(data)))
    first, second = read_recordings(pcap([packets[-4], packets[-3], *shifted]))
    assert len(first.chunks) == 1
    same_octets(second, whole_conversation())


@pytest.mark.parametrize("form", ["pcap", "pcapng"])
def test_a_file_that_ends_early(form: str) -> None:
    written = whole_conversation()
    data = pcap(packets_of(written)) if form == "pcap" else write_pcapng(written)
    for cut in (5, 30):
        (read,) = read_recordings(data[: len(data) // 2 // 4 * 4 - cut])
        assert "the file ends inside" in read.notes[0] or "the block at octet" in read.notes[0]
        for direction in Direction:
            assert written.octets(direction).startswith(read.octets(direction))


def test_several_connections() -> None:
    one = packets_of(Recording(whole_conversation().chunks, "10.0.0.1:1000", "10.0.0.9:80"))
    two = packets_of(Recording(whole_conversation().chunks, "10.0.0.2:1000", "10.0.0.9:80"))
    mixed = [packet for pair in zip(one, two, strict=True) for packet in pair]
    read = read_recordings(pcap(mixed))
    assert [recording.client for recording in read] == ["10.0.0.1:1000", "10.0.0.2:1000"]
    for recording in read:
        same_octets(recording, whole_conversation())


HEX = {
    "bare": "{c}\n",
    "colons": "{colons}\n",
    "sides": "> {c}\n< {s}\n",
    "words": "client: {c}\nserver: {s}\n",
    "comments": "# a comment\n\n{c}\n",
}


@pytest.mark.parametrize("form", HEX)
def test_hex_dumps(form: str) -> None:
    client, server = whole_conversation().octets(CLIENT), whole_conversation().octets(SERVER)
    text = HEX[form].format(c=client.hex(" "), s=server.hex(), colons=client.hex(":"))
    (read,) = read_recordings(text.encode())
    assert read.octets(CLIENT) == client
    assert read.octets(SERVER) in (b"", server)


def dump(data: bytes, line: str, indent: str = "") -> str:
    out = []
    for at in range(0, len(data), 16):
        part = data[at : at + 16]
        text = "".join(chr(o) if 32 <= o < 127 else "." for o in part)
        pairs = " ".join(f"{part[i : i + 2].hex()}" for i in range(0, len(part), 2))
        out.append(indent + line.format(at=at, a=part[:8].hex(" "), b=part[8:].hex(" "), pairs=pairs, text=text))
    return "\n".join(out) + "\n"


@pytest.mark.parametrize("line", ["{at:08x}: {pairs:<39}  {text}", "{at:08x}  {a:<23}  {b:<23}  |{text}|"])
def test_dumps_of_xxd_and_hexdump(line: str) -> None:
    client = whole_conversation().octets(CLIENT)
    (read,) = read_recordings(dump(client, line).encode())
    assert read.octets(CLIENT) == client


def test_a_dump_of_wiresharks_follow_stream() -> None:
    client, server = whole_conversation().octets(CLIENT), whole_conversation().octets(SERVER)
    line = "{at:08x}  {a:<23}  {b:<23}   {text}"
    (read,) = read_recordings((dump(client, line) + dump(server, line, "    ")).encode())
    same_octets(read, whole_conversation())


def test_json_lines() -> None:
    written = Recording(whole_conversation().chunks, "a:1", "b:2", from_start=False, start_time=5.0, notes=("note",))
    (read,) = read_recordings("\n".join(recording_lines(written)).encode())
    assert read == written
    (again,) = read_recordings("\n".join(explanation_lines(explain(written))).encode())
    assert again == written


def test_several_recordings_in_json_lines() -> None:
    written = [
        Recording(whole_conversation().chunks, "a:1", "b:2"),
        Recording((), "c:3", "d:4"),
        Recording(Script().unary(b"", b"").recording().chunks, "e:5", "f:6", start_time=1.5),
    ]
    text = "".join(f"{line}\n" for recording in written for line in explanation_lines(explain(recording)))
    assert read_recordings(text.encode()) == written


NUMBERS = st.one_of(st.integers(), st.floats(), st.sampled_from([10**400, 2**63, -1, True, None, "1"]))
LINES = st.one_of(
    st.fixed_dictionaries(
        {
            "octets": st.binary(max_size=40).map(bytes.hex),
            "from": st.sampled_from(["client", "server", "x"]),
            "time": NUMBERS,
        },
        optional={"lost": NUMBERS},
    ),
    st.fixed_dictionaries(
        {"form": st.just("puregrpc trace"), "version": st.sampled_from([1, 1, 1, 2])},
        optional={"start_time": NUMBERS, "client": st.text(max_size=9), "server": NUMBERS, "notes": NUMBERS},
    ),
)


@given(lines=st.lists(LINES, max_size=5))
def test_any_json_lines_are_read_or_refused(lines: list[dict[str, object]]) -> None:
    lines = [{"form": "puregrpc trace", "version": 1}, *lines]
    try:
        recordings = read_recordings("\n".join(map(json.dumps, lines)).encode())
    except InvalidArgument:
        return
    for recording in recordings:
        write_pcapng(recording)
        assert_every_octet_is_explained(explain(recording))


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", "there is not a single octet in it"),
        (b"hello", "f:1: not octets in hexadecimal: 'hello'"),
        (b"\xff\xfe\x00", "neither pcapng nor pcap nor text"),
        (b"{}", 'f:1: not a recording: the first line has no "form"'),
        (b"{", "f:1: not a line of JSON"),
        (b'{"form": "puregrpc trace", "version": 2}', "version 2 is not known, only 1"),
        (b'{"form": "puregrpc trace", "version": 1}\n{"octets": "zz", "from": "client", "time": 0}', "f:2: not octets"),
        (b'{"form": "puregrpc trace", "version": 1}\n{"octets": "", "from": "x", "time": 0}', "f:2: not octets"),
        (b"\xa1\xb2\xc3\xd4", "has 24 octets, and only 4 are there"),
        (b"\x0a\x0d\x0d\x0a", "without its byte-order magic"),
        (pcap([]), "no TCP connection with data in 0 packets"),
        (pcap([Packet(0, 147, b"abc", 3)], 147), r"link types \[147\] are not known"),
    ],
)
def test_files_that_cannot_be_read(data: bytes, expected: str) -> None:
    with pytest.raises(InvalidArgument, match=expected.replace("(", r"\(")):
        read_recordings(data, "f")


@given(data=st.data())
def test_broken_captures_are_read_or_refused(data: st.DataObject) -> None:
    octets = bytearray(write_pcapng(whole_conversation()) if data.draw(st.booleans()) else PCAP)
    for _ in range(data.draw(st.integers(1, 6))):
        place = data.draw(st.integers(4, len(octets) - 1))
        if data.draw(st.booleans()):
            octets[place] = data.draw(st.integers(0, 255))
        else:
            del octets[place : place + data.draw(st.integers(1, 200))]
            octets += bytes(8)
    try:
        recordings = read_recordings(bytes(octets))
    except InvalidArgument:
        return
    for recording in recordings:
        assert_every_octet_is_explained(explain(recording))


PCAP = pcap(packets_of(whole_conversation()), 1, ETHERNET)


@given(
    st.lists(st.tuples(st.integers(0, 40), st.integers(1, 12)), min_size=1, max_size=12),
    st.permutations(range(12)),
)
def test_reassembly_of_overlapping_segments(cuts: list[tuple[int, int]], order: list[int]) -> None:
    stream = bytes(range(52))
    script = Recording((Chunk(0.0, CLIENT, b"x"),), start_seen=True)
    syn, synack, ack, *_ = packets_of(script)
    template = packets_of(script)[3].data
    packets = [syn, synack, ack]
    pieces = [cuts[i % len(cuts)] for i in order] + [(at, 4) for at in range(0, 52, 4)]
    for at, size in pieces:
        tcp = bytearray(template[:40])
        tcp[24:28] = struct.pack("!I", 1001 + at)
        payload = stream[at : at + size]
        data = tcp[:2] + struct.pack("!H", 40 + len(payload)) + tcp[4:] + payload
        packets.append(Packet(0, 101, bytes(data), len(data)))
    (read,) = read_recordings(pcap(packets))
    assert read.octets(CLIENT) == stream
    assert all(chunk.lost == 0 for chunk in read.chunks)
