"""What tshark says of a capture, and what puregrpc says of it, in one form to be compared field by field."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from xml.etree import ElementTree

from puregrpc.trace import Direction, Explanation, Frame
from puregrpc.trace.records import HeaderBlock, Representation

REPRESENTATIONS = {
    "Indexed Header Field": Representation.INDEXED,
    "Literal Header Field with Incremental Indexing - New Name": Representation.INCREMENTAL,
    "Literal Header Field with Incremental Indexing - Indexed Name": Representation.INCREMENTAL,
    "Literal Header Field without Indexing - New Name": Representation.WITHOUT,
    "Literal Header Field without Indexing - Indexed Name": Representation.WITHOUT,
    "Literal Header Field never Indexed - New Name": Representation.NEVER,
    "Literal Header Field never Indexed - Indexed Name": Representation.NEVER,
    "Header table size update": Representation.SIZE_UPDATE,
    "Maximum header list size change": Representation.SIZE_UPDATE,
}


@dataclass
class Dissection:
    """What one side sent, as plain values."""

    frames: list[tuple[object, ...]] = field(default_factory=list)
    """Type, flags, stream, length, then settings, increment or error code."""
    headers: list[tuple[object, ...]] = field(default_factory=list)
    """Stream, name, value, representation, index."""
    messages: list[tuple[object, ...]] = field(default_factory=list)
    """Compressed flag, length, then the number and wire type of each field."""


def dissect(capture: Path, servers: Mapping[int, str], *, key_log: Path | None = None) -> dict[Direction, Dissection]:
    """Run tshark on a capture; ``servers``: port -> ``http2`` or ``tls``, for ports that it does not know by itself.

    Raises CalledProcessError if it fails.
    """
    command = ["tshark", "-n", "-r", str(capture), "-Y", "http2", "-T", "pdml", "-J", "tcp http2 grpc protobuf"]
    command += ["-o", "tcp.reassemble_out_of_order:TRUE"]
    command += [word for port, protocol in servers.items() for word in ("-d", f"tcp.port=={port},{protocol}")]
    command += ["-o", f"tls.keylog_file:{key_log}"] if key_log is not None else []
    run = subprocess.run(command, capture_output=True, check=True, timeout=120)
    found = {direction: Dissection() for direction in Direction}
    for packet in ElementTree.fromstring(run.stdout).iter("packet"):
        ends = [packet.find(f"./proto[@name='tcp']/field[@name='tcp.{end}port']") for end in ("src", "dst")]
        source, target = (int(end.get("show", "0")) if end is not None else 0 for end in ends)
        if not source:
            continue
        is_server = source in servers or (target not in servers and source < target)
        side = found[Direction.SERVER if is_server else Direction.CLIENT]
        for proto in packet.iter("proto"):
            if proto.get("name") == "http2":
                for stream in proto.iter("field"):
                    if stream.get("name") == "http2.stream":
                        _http2(stream, side)
            elif proto.get("name") == "grpc":
                # What a later frame completes is shown under that frame, once.
                flag, length = _number(proto, "grpc.compressed_flag"), _number(proto, "grpc.message_length")
                side.messages.append((flag, length))
            elif proto.get("name") == "protobuf" and side.messages:
                fields = [
                    (_number(item, "protobuf.field.number"), _number(item, "protobuf.field.wiretype"))
                    for item in proto.findall("./field/field")
                    if item.find("./field[@name='protobuf.field.number']") is not None
                ]
                side.messages[-1] += tuple(fields)
    return found


def _show(element: ElementTree.Element, name: str) -> str | None:
    found = element.find(f".//field[@name='{name}']")
    return None if found is None else found.get("show")


def _number(element: ElementTree.Element, name: str) -> int | None:
    text = _show(element, name)
    return None if text is None else int(text, 0)


def _http2(stream: ElementTree.Element, side: Dissection) -> None:
    kind = _number(stream, "http2.type")
    if kind is None:
        return  # the connection preface
    stream_id = _number(stream, "http2.streamid")
    said: list[object] = [kind, _number(stream, "http2.flags"), stream_id, _number(stream, "http2.length")]
    if kind == 4:
        for setting in stream.iter("field"):
            if setting.get("name") == "http2.settings":
                octets = bytes.fromhex("".join(part.get("value", "") for part in setting.findall("field"))[:12])
                said.append((int.from_bytes(octets[:2], "big"), int.from_bytes(octets[2:6], "big")))
    elif kind == 8:
        said.append(_number(stream, "http2.window_update.window_size_increment"))
    elif kind == 3:
        said.append(_number(stream, "http2.rst_stream.error"))
    elif kind == 7:
        said += [_number(stream, "http2.goaway.last_stream_id"), _number(stream, "http2.goaway.error")]
    side.frames.append(tuple(said))
    for header in stream.iter("field"):
        if header.get("name") != "http2.header":
            continue
        representation = REPRESENTATIONS.get(_show(header, "http2.header.repr") or "")
        if representation is Representation.SIZE_UPDATE:
            continue
        index = _number(header, "http2.header.index") or 0
        name, value = _show(header, "http2.header.name"), _show(header, "http2.header.value")
        side.headers.append((stream_id, name, value or "", representation, index))


def ours(explanation: Explanation) -> dict[Direction, Dissection]:
    """The same of an explanation."""
    found = {direction: Dissection() for direction in Direction}
    for entry in explanation.entries:
        side = found[entry.direction]
        if isinstance(entry, Frame) and not entry.missing:
            side.frames.append(_frame(entry, explanation))
        if entry.header_block is not None:
            side.headers.extend(_headers(entry.header_block))
        for message in entry.messages:
            if message.part.size < message.length:
                continue  # cut
            fields = tuple((item.number, item.wire_type) for item in message.fields)
            side.messages.append((int(message.compressed), message.length, *fields))
    return found


def _frame(frame: Frame, explanation: Explanation) -> tuple[object, ...]:
    said: list[object] = [frame.type, frame.flags, frame.stream_id, frame.length]
    payload = explanation.octets(frame.part.spans)[9:]
    words = [int.from_bytes(payload[place : place + 4], "big") for place in range(0, len(payload), 4)]
    if frame.type == 4:
        said += [
            (int.from_bytes(payload[place : place + 2], "big"), int.from_bytes(payload[place + 2 : place + 6], "big"))
            for place in range(0, len(payload), 6)
        ]
    elif frame.type in (8, 3):
        said.append(words[0])
    elif frame.type == 7:
        said += words[:2]
    return tuple(said)


def _headers(block: HeaderBlock) -> Iterator[tuple[object, ...]]:
    for header in block.fields:
        if header.representation is not Representation.SIZE_UPDATE:
            # tshark shows texts up to a NUL only (grpcio sends binary metadata to its own kind behind one).
            value = (header.value or b"").partition(b"\0")[0].decode("latin-1")
            name = (header.name or b"").decode("latin-1")
            yield block.stream_id, name, value, header.representation, header.index


def differences(one: Dissection, other: Dissection) -> list[str]:
    """What two dissections do not agree on, in words."""
    found = []
    for what in ("frames", "headers", "messages"):
        a, b = getattr(one, what), getattr(other, what)
        if len(a) != len(b):
            found.append(f"{what}: {len(a)} and {len(b)}")
        found += [f"{what} {n}: {x} and {y}" for n, (x, y) in enumerate(zip(a, b, strict=False)) if x != y]
    return found
