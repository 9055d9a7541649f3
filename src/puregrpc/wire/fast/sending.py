"""The sending half of a connection: one list of octets to write, and turns for the calls that cannot write all at once.

A frame goes straight to the list, in order, if nothing holds it back: header blocks (HPACK wants them in the order in
which they were encoded), control frames, and messages that fit a frame and both windows. Everything else waits in the
call's `Outbound` and is cut into DATA frames when the driver asks for octets, one frame a turn, round robin, so that no
call starves another and the control frames that came meanwhile go first.
"""

from __future__ import annotations

from abc import abstractmethod
from collections import deque
from typing import TYPE_CHECKING

from puregrpc.errors import LocalProtocolError
from puregrpc.wire.compression import CODINGS, Coding
from puregrpc.wire.connection import Call, Connection, ConnectionConfig, Driver
from puregrpc.wire.fast.hpack_decoder import HeaderDecoder
from puregrpc.wire.fast.hpack_encoder import ConstantFields, HeaderEncoder
from puregrpc.wire.fast.hpack_table import ENTRY_OVERHEAD
from puregrpc.wire.fast.octets import END_HEADERS, END_STREAM, HEAD_SIZE, frame, message_frame_head, pack_head
from puregrpc.wire.frames import FrameType
from puregrpc.wire.framing import PREFIX_SIZE, encode_message, prefix, size_of
from puregrpc.wire.limits import GUARANTEED_MEMORY, MAX_DATA_FRAME_SIZE, MAX_UNSENT_HEADERS, MAX_UNSENT_OUTPUT
from puregrpc.wire.metadata import header_list_size

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Outbound", "Sending"]

# The bits of Call.wire_state, which is None before a call is opened and after it is over.
HEAD_SENT = 1
LOCAL_CLOSED = 2
"""No further message may be sent: half-closed, or trailers given."""
END_SENT = 4
"""END_STREAM is in the output."""
HEAD_RECEIVED = 8
READABLE = 16
"""DATA may come: the peer's head has come and its END_STREAM has not."""
REMOTE_CLOSED = 32
QUEUED = 64
"""A client's call that waits for the peer's MAX_CONCURRENT_STREAMS."""
DETACHED = 128
"""A server's call whose owner has given the trailers and hears no more of it."""

MAX_DIRECT_OCTETS = 64 << 10
"""How much message data goes straight to the list before the driver has taken it; more waits with its call, where it
counts as buffered and holds its sender back."""

MAX_DATA_FRAME = min(MAX_DATA_FRAME_SIZE, 0xFFFF)
"""How much of one call a turn sends at most, however large a frame the peer takes."""

MOST_UNCOUNTED = 64
"""How much more an entry counts in a header list than it takes in a block: 32, and an indexed name's length."""

LIMIT = 1 << 19
"""How many octets a driver is given at a time."""

MOST_PIECES = 256
"""More are joined: then they are so small that a copy costs less than a piece."""

LEAST_LIMIT = 64
"""What `data_to_send` is asked for at least, so that something of a DATA frame fits."""

WHOLE_PIECE = 16 << 10
"""A message of so many octets is kept beside its prefix, not joined with it: a copy would cost more than a piece."""

LARGE_PIECE = 1 << 20
"""A message of so many octets takes longer to allocate than to send."""

IDENTITY = CODINGS["identity"]


class Outbound:
    """What one call has still to send: pieces of DATA, then what ends the stream."""

    __slots__ = ("call", "dead", "end", "held", "octets", "offset", "over", "pieces", "then", "turning")

    def __init__(self, call: Call) -> None:
        self.call = call
        self.pieces: deque[bytes] = deque()
        self.octets = 0
        self.held = 0
        """What the pieces take in memory: each is there as a whole until the last of it is sent."""
        self.offset = 0
        """How much of the first piece is sent."""
        self.end = False
        """END_STREAM follows on the last DATA frame."""
        self.then: Callable[[], None] | None = None
        """Sends what follows all pieces: trailers."""
        self.over = False
        """There was more than SEND_BUFFER_SIZE, and on_writable is due once there no longer is."""
        self.turning = False
        self.dead = False

    @property
    def is_within_large_piece(self) -> bool:
        """A large message is partly sent. Its owner is held back to its end, and then makes the next one where this one
        was, in memory that need not be had from the system again: that halves the cost of a stream of such messages."""
        return self.offset > 0 and len(self.pieces[0]) >= LARGE_PIECE

    def add(self, octets: bytes) -> None:
        """Put octets behind what is there."""
        self.pieces.append(octets)
        self.octets += len(octets)
        self.held += len(octets)

    def take(self, count: int) -> list[bytes | memoryview]:
        """Take the first ``count`` octets out, uncopied where they are part of a piece."""
        self.octets -= count
        taken: list[bytes | memoryview] = []
        while count:
            piece = self.pieces[0]
            left = len(piece) - self.offset
            if left > count:
                taken.append(memoryview(piece)[self.offset : self.offset + count])
                self.offset += count
                return taken
            taken.append(memoryview(piece)[self.offset :] if self.offset else piece)
            self.pieces.popleft()
            self.held -= len(piece)
            self.offset = 0
            count -= left
        return taken


class Sending(Connection):
    """What both ends do to send."""

    __slots__ = (
        "_accounted",
        "_closed",
        "_data_frame_size",
        "_data_sent",
        "_direct_octets",
        "_max_list_size",
        "_max_send_message_size",
        "_out",
        "_peer_frame_size",
        "_peer_initial_window",
        "_replies",
        "_send_window",
        "_signalled",
        "_turns",
        "_unsent",
        "config",
        "driver",
        "encoder",
        "streams",
    )

    _client: bool

    def __init__(self, driver: Driver, config: ConnectionConfig) -> None:
        self.driver = driver
        self.config = config
        self.encoder = HeaderEncoder()
        self._accounted = False
        """The budget knows of something that the connection holds."""
        self.streams: dict[int, Call] = {}
        """The calls that have a stream which is not over."""
        self._max_send_message_size = config.max_send_message_size
        self._max_list_size: int | None = None
        """The largest header list that the peer takes, if it said."""
        self._out: list[bytes | memoryview] = []
        self._direct_octets = 0
        """What was put into the list since the driver took all of it."""
        self._unsent = 0
        """What waits in all calls' `Outbound`."""
        self._signalled = False
        self._closed = False
        self._send_window = 65535
        self._peer_initial_window = 65535
        self._data_frame_size = 16384
        self._peer_frame_size = 16384
        self._turns: deque[Outbound] = deque()
        self._data_sent = False
        """DATA went out since the peer's last WINDOW_UPDATE."""
        self._replies = 0
        """Octets of the output that answer frames of the peer."""

    @property
    def is_closed(self) -> bool:
        return self._closed

    @property
    def is_output_clogged(self) -> bool:
        waits = self._direct_octets
        if self._client or waits <= GUARANTEED_MEMORY:
            return False
        budget = self.config.memory_budget
        return waits > MAX_UNSENT_HEADERS or (budget is not None and budget.is_unsent_full)

    @property
    def unsent(self) -> int:
        return self._unsent + self._direct_octets

    @property
    def is_send_full(self) -> bool:
        waits = self._unsent + self._direct_octets
        if waits <= GUARANTEED_MEMORY:
            return False
        if waits > MAX_UNSENT_OUTPUT or self._direct_octets > MAX_UNSENT_HEADERS:
            return True
        budget = self.config.memory_budget
        return budget is not None and budget.is_unsent_full

    # -- the list

    def emit(self, octets: bytes) -> None:
        """Put whole frames into the output."""
        self._out.append(octets)
        self._direct_octets += len(octets)
        if not self._signalled:
            self._signalled = True
            self.driver.on_output()

    def emit_headers(self, stream_id: int, block: bytes, flags: int) -> None:
        """Put a header block into the output, with CONTINUATION where it is longer than a frame."""
        size = self._peer_frame_size
        if len(block) <= size:
            self.emit(frame(FrameType.HEADERS, flags | END_HEADERS, stream_id, block))
            return
        parts = [frame(FrameType.HEADERS, flags, stream_id, block[:size])]
        for start in range(size, len(block), size):
            last = start + size >= len(block)
            parts.append(
                frame(FrameType.CONTINUATION, END_HEADERS if last else 0, stream_id, block[start : start + size])
            )
        self.emit(b"".join(parts))

    def _excess(self, constant: ConstantFields, literals: bytes, entries: int) -> int:
        """The size of a header list, if the peer does not take so much; else 0. ``entries`` is how many literals."""
        most = self._max_list_size
        if most is None or constant.list_size + len(literals) + MOST_UNCOUNTED * entries <= most:
            return 0
        run, fields = HeaderDecoder(len(literals) * ENTRY_OVERHEAD).decode(literals)
        size = constant.list_size + header_list_size(run.fields + fields)
        return size if size > most else 0

    def emit_reset(self, stream_id: int, error_code: int) -> None:
        """Put RST_STREAM into the output."""
        self.emit(frame(FrameType.RST_STREAM, 0, stream_id, error_code.to_bytes(4, "big")))

    def _signal(self) -> None:
        if not self._signalled:
            self._signalled = True
            self.driver.on_output()

    def data_to_send(self, limit: int = LIMIT) -> bytes:
        out = self._out
        if self._turns:
            self._take_turns(max(limit, LEAST_LIMIT))
        data = b"".join(out)
        out.clear()
        if len(data) <= limit:
            self._all_taken()
            return data
        out.append(memoryview(data)[limit:])
        self.driver.on_output()
        return data[:limit]

    def pieces_to_send(self, limit: int | None = None) -> list[bytes | memoryview]:
        if not self._turns:
            return super().pieces_to_send(limit)
        self._take_turns(LIMIT if limit is None else limit)
        pieces = self._out
        self._out = []
        self._all_taken()
        return pieces if len(pieces) <= MOST_PIECES else [b"".join(pieces)]

    def _all_taken(self) -> None:
        """The driver has taken all of the list."""
        self._direct_octets = 0
        if self._accounted:
            self._account()
        if self._replies:
            self._replies = 0
            self._output_drained()
        self._signalled = False
        if self._turns and self._send_window > 0:
            self._signal()

    def _account(self) -> None:
        """Tell the budget that the connection shares with others what it holds and has waiting."""

    @abstractmethod
    def _output_drained(self) -> None:
        """All replies to the peer's frames have been taken by the driver."""

    # -- messages

    def send_message(self, call: Call, message: bytes, *, end: bool = False, compress: bool = True) -> None:
        state = call.wire_state
        if state is None:
            return
        if state & (LOCAL_CLOSED | HEAD_SENT) != HEAD_SENT:
            self._check_may_send(state)
        coding: Coding | None = call.wire_b
        length = len(message) if type(message) is bytes else size_of(message)
        if length > self._max_send_message_size or (coding is not None and compress):
            octets = encode_message(message, coding or IDENTITY, self._max_send_message_size)
            self._send_octets(call, (octets,), end)
            return
        size = length + PREFIX_SIZE
        if (
            call.wire_outbound is None
            and size <= call.wire_send_window
            and size <= self._send_window
            and size <= self._data_frame_size
            and self._direct_octets <= MAX_DIRECT_OCTETS
        ):
            self._send_window -= size
            call.wire_send_window -= size
            self._direct_octets += size
            self._data_sent = True
            flags = 0
            if end:
                flags = END_STREAM
                call.wire_state = state | LOCAL_CLOSED | END_SENT
            self._out.append(message_frame_head(0, size, FrameType.DATA, flags, call.wire_id, 0, length) + message)
            if not self._signalled:
                self._signalled = True
                self.driver.on_output()
        elif length < WHOLE_PIECE:
            self._send_octets(call, (prefix(length) + message,), end)
        else:
            self._send_octets(call, (prefix(length), message), end)

    def _send_octets(self, call: Call, pieces: tuple[bytes, ...], end: bool) -> None:
        """Queue the octets of a message behind those that wait."""
        outbound: Outbound | None = call.wire_outbound
        if outbound is None:
            outbound = call.wire_outbound = Outbound(call)
        for piece in pieces:
            outbound.add(piece)
            self._unsent += len(piece)
        self._account()
        if outbound.octets > self.send_buffer_size:
            outbound.over = True
        if end:
            outbound.end = True
            call.wire_state |= LOCAL_CLOSED
        self._give_turn(outbound)

    def _check_may_send(self, state: int) -> None:
        """Raise LocalProtocolError if no message may be sent (now, or any more)."""
        if state & DETACHED:
            raise LocalProtocolError("the trailers have been sent: no message may follow them")
        if state & LOCAL_CLOSED:
            raise LocalProtocolError("the call is half-closed: all its messages have been sent")
        if not state & QUEUED:
            raise LocalProtocolError("send_headers comes before the first message")

    def send_buffered(self, call: Call) -> int:
        outbound: Outbound | None = call.wire_outbound if call.wire_state is not None else None
        return 0 if outbound is None else outbound.octets

    def is_held_back(self, call: Call) -> bool:
        outbound: Outbound | None = call.wire_outbound if call.wire_state is not None else None
        if outbound is None or not (outbound.octets > self.send_buffer_size or self.is_send_full):
            return False
        outbound.over = True
        return True

    # -- turns

    def _give_turn(self, outbound: Outbound) -> None:
        """Let a call take part in the turns, if its own window allows that."""
        call = outbound.call
        if outbound.turning or call.wire_send_window <= 0 or call.wire_state & QUEUED:
            return
        outbound.turning = True
        self._turns.append(outbound)
        if self._send_window > 0:
            self._signal()

    def _take_turns(self, room: int) -> None:
        """Put DATA frames of about ``room`` octets into the list, one a turn."""
        out = self._out
        turns = self._turns
        for octets in out:
            room -= len(octets)
        self._data_sent = True
        while turns and room > HEAD_SIZE:
            outbound = turns.popleft()
            outbound.turning = False
            if outbound.dead:
                continue
            call = outbound.call
            if not turns and outbound.octets > 2 * self._data_frame_size:
                room -= self._take_full_frames(outbound, room)
            count = min(
                outbound.octets, self._send_window, call.wire_send_window, self._data_frame_size, room - HEAD_SIZE
            )
            if count <= 0:
                if call.wire_send_window <= 0:
                    continue  # WINDOW_UPDATE or SETTINGS will give it its next turn
                outbound.turning = True
                turns.appendleft(outbound)
                return
            self._send_window -= count
            call.wire_send_window -= count
            room -= count + HEAD_SIZE
            held = outbound.held
            pieces = outbound.take(count)
            self._unsent -= held - outbound.held
            done = not outbound.octets
            flags = END_STREAM if done and outbound.end else 0
            out.append(pack_head(count >> 16, count & 0xFFFF, FrameType.DATA, flags, call.wire_id))
            out += pieces
            if done:
                call.wire_outbound = None
                if flags:
                    call.wire_state |= END_SENT
                if outbound.then is not None:
                    outbound.then()
                    continue
            else:
                outbound.turning = True
                turns.append(outbound)
            if outbound.over and outbound.octets <= self.send_buffer_size and not outbound.is_within_large_piece:
                outbound.over = False
                if not outbound.end and outbound.then is None:
                    call.on_writable()

    def _take_full_frames(self, outbound: Outbound, room: int) -> int:
        """Put full DATA frames of a call that is alone into the list; gives the room that they take.

        The last frame that the message, the windows or ``room`` allow is left to the turn.
        """
        call = outbound.call
        size = self._data_frame_size
        start = outbound.offset
        window: int = min(self._send_window, call.wire_send_window)
        frames = min(
            (len(outbound.pieces[0]) - start - 1) // size,
            (window - 1) // size,
            (room - HEAD_SIZE - 1) // (size + HEAD_SIZE),
        )
        if frames <= 0:
            return 0
        octets = frames * size
        head = pack_head(size >> 16, size & 0xFFFF, FrameType.DATA, 0, call.wire_id)
        piece = memoryview(outbound.pieces[0])
        self._out += [part for at in range(start, start + octets, size) for part in (head, piece[at : at + size])]
        outbound.offset += octets
        outbound.octets -= octets
        self._send_window -= octets
        call.wire_send_window -= octets
        return octets + frames * HEAD_SIZE

    def _open_window(self, call: Call, increment: int) -> None:
        """The peer gave a stream ``increment`` octets; it may be negative after SETTINGS."""
        call.wire_send_window += increment
        outbound: Outbound | None = call.wire_outbound
        if outbound is not None:
            self._give_turn(outbound)

    def _forget_outbound(self, call: Call) -> None:
        outbound: Outbound | None = call.wire_outbound
        if outbound is not None:
            outbound.dead = True
            self._unsent -= outbound.held
            call.wire_outbound = None
