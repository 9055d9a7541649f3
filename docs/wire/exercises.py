"""Broken captures: the lesson's first call, each with one thing wrong, and what to find out about it."""

from __future__ import annotations

from dataclasses import dataclass

from docs.wire.conversation import lesson_conversation

from puregrpc.trace import Direction

__all__ = ["EXERCISES", "Exercise"]

CLIENT, SERVER = Direction.CLIENT, Direction.SERVER
REQUEST = bytes.fromhex("00000000060a0442657274")
"""The first request: prefix, tag, length, "Bert"."""


@dataclass(frozen=True)
class Exercise:
    """``octets`` are what each side sent, in turns; ``answer`` says in words what the trace shows."""

    name: str
    question: str
    octets: tuple[tuple[Direction, bytes], ...]
    answer: str

    def hexdump(self) -> str:
        """The capture as a file that `puregrpc trace --read` takes."""
        lines = [f"# {self.question}"]
        for direction, data in self.octets:
            sign = ">" if direction is CLIENT else "<"
            lines += [f"{sign} {data[place : place + 24].hex(' ')}" for place in range(0, len(data), 24)]
        return "\n".join(lines) + "\n"


def first_call(*, calls: tuple[int, ...] = (0,)) -> list[tuple[Direction, bytes]]:
    """The start of the lesson's connection and some of its calls, each side's octets in turns."""
    turns: list[tuple[Direction, bytes]] = []
    for chunk in lesson_conversation().chunks:
        if turns and turns[-1][0] is chunk.direction:
            turns[-1] = (chunk.direction, turns[-1][1] + chunk.data)
        else:
            turns.append((chunk.direction, chunk.data))
    # Turn 0 and 1 are both sides' settings, turn 2 the acknowledgement with the first call, turn 3 its response.
    chosen = turns[:2]
    chosen.append((CLIENT, turns[2][1][:9]))
    for call in calls:
        request, response = turns[2 + 2 * call], turns[3 + 2 * call]
        chosen.append((CLIENT, request[1][9:] if call == 0 else request[1]))
        chosen.append(response)
    return chosen


def changed(direction: Direction, old: bytes, new: bytes) -> tuple[tuple[Direction, bytes], ...]:
    """The first call with the first occurrence of ``old`` in what one side sent replaced."""
    turns = first_call()
    for place, (side, data) in enumerate(turns):
        if side is direction and old in data:
            turns[place] = (side, data.replace(old, new, 1))
            return tuple(turns)
    raise LookupError(f"{old.hex()} is not in what the {direction.value} sent")


def without_trailers() -> tuple[tuple[Direction, bytes], ...]:
    turns = first_call()
    side, data = turns[-1]
    headers = 9 + int.from_bytes(data[:3], "big")
    body = 9 + int.from_bytes(data[headers : headers + 3], "big")
    frame = bytearray(data[headers : headers + body])
    frame[4] |= 0x01
    turns[-1] = (side, data[:headers] + bytes(frame))
    return tuple(turns)


EXERCISES = (
    Exercise(
        "length",
        "The server waits for more of the request, and the client says that it has sent everything. Who is right?",
        changed(CLIENT, REQUEST, b"\0\0\0\0\x07" + REQUEST[5:]),
        "The prefix of the request says 7 octets, but the stream ends after 6. The server cannot know a whole message "
        "from a cut one but by this length, so the client is wrong. gRPC servers answer INTERNAL.",
    ),
    Exercise(
        "status",
        "The response came, whole and readable. Why does the client report an error all the same?",
        without_trailers(),
        "The server has put END_STREAM on the DATA frame: there are no trailers, and so no grpc-status. A call without "
        "a status is no success; the client makes UNKNOWN (or INTERNAL) of it.",
    ),
    Exercise(
        "flag",
        "The server answers INTERNAL to a request in which every octet of the message is as it should be.",
        changed(CLIENT, REQUEST, b"\x01" + REQUEST[1:]),
        "The compressed flag is 1, but the request's headers name no grpc-encoding: the server does not know how to "
        "inflate the message.",
    ),
    Exercise(
        "method",
        "A web server that also speaks gRPC answers this call with a page. One octet is to blame.",
        changed(CLIENT, b"\x01\x04\x00\x00\x00\x01\x83", b"\x01\x04\x00\x00\x00\x01\x82"),
        "The first octet of the header block is 0x82 in place of 0x83: entry 2 of the static table, :method GET. "
        "gRPC requests are always POST.",
    ),
    Exercise(
        "field",
        "The call works, but the server greets nobody. It is the server's opinion that the greeting is not set.",
        changed(CLIENT, b"\x0a\x04Bert", b"\x12\x04Bert"),
        "The tag is 0x12, which is field 2 and wire type LEN. HelloRequest has no field 2: the server keeps it as an "
        "unknown field, and field 1 is not there.",
    ),
    Exercise(
        "varint",
        "The server refuses this request as one that cannot be read, although its length is right.",
        changed(CLIENT, b"\x0a\x04Bert", b"\x0a\xf4Bert"),
        "The length of field 1 is a varint whose first octet has its top bit set, so that the B belongs to it too: "
        "8564 octets, of which 3 are there.",
    ),
    Exercise(
        "table",
        "The capture begins with the second call of a connection, and the server closes the connection at once. "
        "A proxy had been put in between that keeps connections to the server open. What did it forget?",
        tuple(first_call(calls=(1,))),
        "The header block refers to entries 62 to 68 of the dynamic table, which the first call would have added. The "
        "table belongs to a connection and a direction: what passes a header block on to another connection must "
        "decode it and encode it anew.",
    ),
    Exercise(
        "stream",
        "The very first call of this client ends the connection with PROTOCOL_ERROR.",
        changed(
            CLIENT,
            b"\x01\x04\x00\x00\x00\x01\x83",
            b"\x01\x04\x00\x00\x00\x02\x83",
        ),
        "The request's HEADERS are on stream 2. Clients open streams with odd numbers; and the DATA that follow are on "
        "stream 1, which was never opened.",
    ),
)
