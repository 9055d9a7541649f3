"""The receiving half of a connection: frames parsed where they lie, in one loop.

The loop knows DATA and HEADERS that are whole, and the WINDOW_UPDATE and PING that grpc-go sends with most answers;
every other frame, and everything unusual about those, is handled in a method of its own. What the peer does wrong is
raised as RemoteProtocolError: where that is caught and given to `_call_fault` it ends one call, else the connection.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator

from puregrpc.errors import RemoteProtocolError
from puregrpc.wire.compression import CODINGS, MessageTooLarge
from puregrpc.wire.connection import Call, ConnectionConfig, Driver
from puregrpc.wire.fast.bodies import ForeignBody, MeasuredReader
from puregrpc.wire.fast.holding import Holding
from puregrpc.wire.fast.hpack_decoder import (
    FieldRun,
    HeaderBombError,
    HeaderDecoder,
    HeaderDecodingError,
    HeaderListTooLargeError,
    KnownBlocks,
)
from puregrpc.wire.fast.hpack_table import Fields
from puregrpc.wire.fast.octets import (
    END_HEADERS,
    END_STREAM,
    HEAD_SIZE,
    MAX_STREAM_ID,
    PADDED,
    PING_HEAD,
    PING_SIZE,
    PRIORITY_FLAG,
    unpack_head,
    unpack_prefix,
)  # fmt: skip
from puregrpc.wire.fast.sending import DETACHED, READABLE, REMOTE_CLOSED
from puregrpc.wire.flow_control import StreamCredit
from puregrpc.wire.frames import ErrorCode, FrameReader, FrameType, without_padding
from puregrpc.wire.framing import PREFIX_SIZE, MessageReader
from puregrpc.wire.headers import KnownFields
from puregrpc.wire.limits import (
    LARGE_HEADER_BLOCK,
    LONG_HEADER_BLOCK,
    MAX_FRAME_SIZE,
    MESSAGE_OVERHEAD,
    SMALL_PART,
    TURN_MESSAGES,
    TURN_SLICE,
    TURN_TIME,
)
from puregrpc.wire.memory import is_memory_scarce
from puregrpc.wire.status import Status, StatusCode
from puregrpc.wire.turn import Turn

__all__ = ["FastConnection"]

DATA = FrameType.DATA
HEADERS = FrameType.HEADERS
PING = FrameType.PING
WINDOW_UPDATE = FrameType.WINDOW_UPDATE
SMALL_REST = 1 << 10
"""So many octets of input that wait are not worth accounting."""

UNUSUAL_HEADERS = END_HEADERS | PADDED | PRIORITY_FLAG


class HeaderBlock:
    """A header block that CONTINUATION goes on with."""

    __slots__ = ("flags", "frames", "octets", "stream_id")

    def __init__(self, stream_id: int, flags: int, fragment: bytes) -> None:
        self.stream_id = stream_id
        self.flags = flags
        self.octets = bytearray(fragment)
        self.frames = 0


class FastConnection(Holding):
    """What both ends do to receive."""

    __slots__ = (
        "_block",
        "_known_fields",
        "_max_message_size",
        "_opening",
        "_peer_is_done",
        "_rest",
        "_suspended",
        "decoder",
    )

    def __init__(self, driver: Driver, config: ConnectionConfig) -> None:
        super().__init__(driver, config)
        # A channel's connections have one server, whose answers are much the same. A server's clients are strangers to
        # each other: nothing of one is kept behind its end.
        common = config.common.setdefault("response blocks", KnownBlocks()) if self._client else None
        self.decoder = HeaderDecoder(config.max_header_list_size, common=common)
        self._max_message_size = config.max_receive_message_size
        self._rest = b""
        """The beginning of a frame whose end has not come."""
        self._suspended: Iterator[None] | None = None
        """The rest of what a frame has to do, that a turn had no time for."""
        self._peer_is_done = False
        """The peer has ended its stream, behind what is kept."""
        self._opening: FrameReader | None = FrameReader(preface=not self._client, max_frame_size=MAX_FRAME_SIZE)
        """Takes the peer's octets up to its first frame."""
        self._block: HeaderBlock | None = None
        self._known_fields: KnownFields | None = None
        """What is known of the fields of a long block, while they are read."""

    def receive(self, data: bytes, now: float) -> None:
        self.now = now
        if self._closed:
            return
        if self._deadlines.not_before <= now:
            self._turn.begin()
            self._expire_deadlines()
        if not data:
            if self._kept is None:
                self._fail(self._farewell.before("the peer closed the connection"))
            else:
                self._peer_is_done = True
            return
        if self._keepalive is not None:
            self._keepalive.received(now)
        if self._kept is not None:
            self._kept += data
            return
        if len(data) > TURN_SLICE:
            self._turn.begin()
        else:
            self._turn.handed_over = 0.0
        try:
            if self._opening is not None:
                data = self._open(self._opening, data)
            size = len(data)
            if self._rest:
                self._receive_cut_frame(data)
            elif size > TURN_SLICE:
                self._parse(data, 0)
            else:  # as `_parse` would, a step less
                i = self._parse_slice(data, 0, size)
                if (i != size or self._suspended is not None) and self._goes_on(data, i):
                    self._parse(data, i)
        except RemoteProtocolError as error:
            self._protocol_error(error)
            return
        if (
            self._connection_received * 4 >= self._connection_window
            or self._holdings.octets
            or self._accounted
            or len(self.streams) > self._accounting.few_calls
            or self._block is not None
            or self._rest
        ):
            self._finish_turn()

    @property
    def _waiting_input(self) -> int:
        waits = len(self._rest)
        if self._kept is not None:
            waits += len(self._kept)
        if self._suspended is not None:
            waits += MAX_FRAME_SIZE if self._known_fields is None else self._known_fields.block_size
        if self._block is not None:
            waits += len(self._block.octets)
        return waits if waits > SMALL_REST else 0

    def _forget_input(self) -> None:
        self._rest = b""
        self._kept = self._suspended = self._block = None

    @property
    def _is_within_block(self) -> bool:
        return self._block is not None

    def limit_turns(self, clock: Callable[[], float], seconds: float = TURN_TIME) -> None:
        self._turn = Turn(clock, seconds)

    @property
    def handed_over(self) -> float:
        return self._turn.handed_over

    @property
    def has_input(self) -> bool:
        return self._kept is not None and not self._closed

    def proceed(self, now: float) -> None:
        self.advance(now)
        data = self._kept
        if self._closed or data is None or self.is_output_clogged:
            return
        if self._keepalive is not None:
            self._keepalive.received(now)
        self._kept = None
        try:
            if self._suspended is not None:
                self._work(self._suspended)
            if self._suspended is not None:
                self._kept = data
            else:
                self._parse(data, 0)
        except RemoteProtocolError as error:
            self._protocol_error(error)
            return
        self._finish_turn()
        if self._peer_is_done and self._kept is None and not self._closed:
            self._fail(self._farewell.before("the peer closed the connection"))

    def _finish_turn(self) -> None:
        """Look at what has come altogether."""
        if self._connection_received * 4 >= self._connection_window or self._withheld:
            self._give_back_connection()
        if (
            self._holdings.octets
            or self._accounted
            or len(self.streams) > self._accounting.few_calls
            or self._block is not None
            or len(self._rest) > SMALL_REST
        ):
            self._look_at_holdings()

    def _work(self, steps: Iterator[None]) -> None:
        """Do what is to be done step by step, until the turn is over."""
        self._suspended = steps
        for _ in steps:
            if self._turn.is_over():
                return
        self._suspended = None

    def _open(self, reader: FrameReader, data: bytes) -> bytes:
        """Take the preface and the first frame, which is SETTINGS; gives what follows it."""
        frames = reader.feed(data)
        first = next(frames, None)
        frames.close()
        if first is None:
            return b""
        self._opening = None
        return first.octets + reader.rest()

    def _receive_cut_frame(self, data: bytes) -> None:
        """What comes behind a piece of a frame. It alone is joined: to join it with all of a large piece would copy
        that."""
        rest = self._rest
        missing = HEAD_SIZE - len(rest)
        if missing > 0:
            rest += data[:missing]
            data = data[missing:]
            if len(rest) < HEAD_SIZE:
                self._rest = rest
                return
        missing = HEAD_SIZE + int.from_bytes(rest[:3], "big") - len(rest)
        if len(data) < 2 * MAX_FRAME_SIZE or missing > len(data):
            self._parse(rest + data, 0)
            return
        self._rest = b""
        self._parse(rest + data[:missing], 0)
        if self._kept is None:
            self._parse(data, missing)
        else:
            self._kept += data[missing:]

    def _parse(self, data: bytes, i: int) -> None:
        """Let every frame from octet ``i`` on act that is there as a whole, and keep the rest."""
        whole = len(data)
        goes_on = True
        while goes_on:
            # Looking at the clock costs as much as a small frame.
            end = i + TURN_SLICE
            i = self._parse_slice(data, i, end if end < whole and self._turn.is_limited else whole)
            goes_on = self._goes_on(data, i)

    def _goes_on(self, data: bytes, i: int) -> bool:
        """Whether more frames are to act behind a slice that ends at octet ``i``. If not, what is there is kept."""
        if self._suspended is None:
            left = len(data) - i
            if left < HEAD_SIZE or left < HEAD_SIZE + int.from_bytes(data[i : i + 3], "big"):
                self._rest = data[i:]
                return False
            if self._holdings.are_too_large:
                self._look_at_holdings()
            if not (self._turn.is_over() or (self._turn.is_limited and self.is_output_clogged)):
                return True
        self._kept = data[i:]
        self._account()
        return False

    def _parse_slice(self, data: bytes, i: int, end: int) -> int:
        """Let the frames from octet ``i`` on act that begin before ``end`` and are there as a whole.

        A frame that may have cost much is the last. Gives where it stopped, which may be behind ``end``.
        """
        whole = len(data)
        streams = self.streams
        blocks = self.decoder.blocks
        max_message_size = self._max_message_size
        while end - i >= HEAD_SIZE:
            oversize, length, kind, flags, stream_id = unpack_head(data, i)
            if oversize or length > MAX_FRAME_SIZE:
                length |= oversize << 16
                raise RemoteProtocolError(
                    f"a frame of {length} octets; the most allowed is {MAX_FRAME_SIZE}", ErrorCode.FRAME_SIZE_ERROR
                )
            start = i + HEAD_SIZE
            stop = start + length
            if stop > whole:
                break
            i = stop
            if self._block is not None or stream_id > MAX_STREAM_ID:
                self._unusual_frame(kind, flags, stream_id & MAX_STREAM_ID, data[start:stop])
                break
            if kind == DATA:
                try:
                    call = streams[stream_id]
                except KeyError:
                    call = None
                if call is None or flags & PADDED or not call.wire_state & READABLE:
                    self._unusual_data(flags, stream_id, data[start:stop])
                    if self._suspended is not None:
                        break
                    continue
                self._connection_received += length
                left = call.wire_received - length
                if left < 0 or self._connection_received > self._connection_window:
                    self._window_exceeded(length)
                call.wire_received = left
                reader = call.wire_inbound
                if reader is None and length >= PREFIX_SIZE:
                    compressed, size = unpack_prefix(data, start)
                    if size + PREFIX_SIZE == length and not compressed and size <= max_message_size:
                        auto = call.auto_consume
                        if not auto:
                            (call.wire_a or self._new_credit(call)).delivered_whole(size, length)
                            self._holdings.octets += size + MESSAGE_OVERHEAD
                        if flags & END_STREAM:
                            call.wire_state = call.wire_state & ~READABLE | REMOTE_CLOSED
                            call.on_message(data[start + PREFIX_SIZE : stop])
                            if call.wire_state is not None:
                                self._end_of_stream(call)
                            continue
                        if auto and left < call.wire_low:
                            self._top_up(call)
                        call.on_message(data[start + PREFIX_SIZE : stop])
                        continue
                elif type(reader) is MessageReader and 0 < length < reader.missing and not flags & END_STREAM:
                    i += self._take_parts(call, reader, data, start, length)
                    continue
                self._take_data(call, data[start:stop], 0, flags)
                if self._suspended is not None:
                    break
            elif kind == HEADERS and flags & UNUSUAL_HEADERS == END_HEADERS:
                block = data[start:stop]
                try:
                    known = blocks[block]
                except KeyError:
                    known = None
                if known is not None and not self._closed:
                    self._headers(stream_id, flags, known[0], known[1])
                else:
                    if not length:
                        self._count_frame(kind, flags, 0)
                    self._decode_headers(stream_id, flags, block)
                    if length >= LARGE_HEADER_BLOCK:
                        break
            elif kind == WINDOW_UPDATE and not self._closed:
                if not stream_id and length == 4 and data.startswith(PING_HEAD, stop) and whole - stop >= PING_SIZE:
                    i = stop + PING_SIZE
                    self._probed(data[start:stop], data[stop + HEAD_SIZE : i])
                else:
                    self._window_update(stream_id, data[start:stop])
            elif kind == PING and not self._closed:
                self._ping_frame(flags, stream_id, data[start:stop])
            else:
                self._unusual_frame(kind, flags, stream_id, data[start:stop])
                break
        return i

    # -- headers

    def _decode_headers(self, stream_id: int, flags: int, block: bytes) -> None:
        if len(block) > LONG_HEADER_BLOCK:
            self._work(self._decode_long_headers(stream_id, flags, block))
            return
        try:
            run, fields = self.decoder.decode(block)
        except (HeaderDecodingError, HeaderListTooLargeError) as error:
            self._headers_not_decoded(stream_id, flags, error)
            return
        if not self._closed:
            self._headers(stream_id, flags, run, fields)

    def _decode_long_headers(self, stream_id: int, flags: int, block: bytes) -> Iterator[None]:
        """`_decode_headers` of a long block, in steps."""
        known = self._known_fields = KnownFields(len(block))
        try:
            run, fields = yield from self.decoder.decoding(block)
            yield from known.learn(fields)
            if not self._closed:
                self._headers(stream_id, flags, run, fields)
        except (HeaderDecodingError, HeaderListTooLargeError) as error:
            self._headers_not_decoded(stream_id, flags, error)
        finally:
            self._known_fields = None

    def _headers_not_decoded(
        self, stream_id: int, flags: int, error: HeaderDecodingError | HeaderListTooLargeError
    ) -> None:
        if isinstance(error, HeaderListTooLargeError):
            if not self._closed:
                self._headers(stream_id, flags, None, error.fields)
            return
        is_bomb = isinstance(error, HeaderBombError)
        code = ErrorCode.ENHANCE_YOUR_CALM if is_bomb else ErrorCode.COMPRESSION_ERROR
        raise RemoteProtocolError(f"HPACK: {error}", code) from None

    def _unusual_frame(self, kind: int, flags: int, stream_id: int, payload: bytes) -> None:
        """Any frame that `_parse` does not deal with itself, and any that has the reserved bit set."""
        if self._closed:
            return
        if not payload and kind in (HEADERS, FrameType.CONTINUATION):
            self._count_frame(kind, flags, 0)
        block = self._block
        if block is not None:
            if kind != FrameType.CONTINUATION or stream_id != block.stream_id:
                raise RemoteProtocolError("a header block was interrupted by another frame")
            block.frames += 1
            block.octets += payload
            if (
                block.frames > self.config.max_continuation_frames
                or len(block.octets) > self.config.max_header_block_size
            ):
                raise RemoteProtocolError("a header block is too long", ErrorCode.ENHANCE_YOUR_CALM)
            if flags & END_HEADERS:
                self._block = None
                self._decode_headers(stream_id, block.flags, bytes(block.octets))
        elif kind == FrameType.CONTINUATION:
            raise RemoteProtocolError("CONTINUATION without a header block before it")
        elif kind == HEADERS:
            self._unusual_headers(flags, stream_id, payload)
        elif kind == DATA:
            self._whole_data(flags, stream_id, payload)
        elif kind == WINDOW_UPDATE:
            self._window_update(stream_id, payload)
        elif kind == PING:
            self._ping_frame(flags, stream_id, payload)
        else:
            self._control_frame(kind, flags, stream_id, payload)

    def _unusual_headers(self, flags: int, stream_id: int, payload: bytes) -> None:
        """HEADERS with padding, with a priority, or without END_HEADERS."""
        fragment = without_padding(payload) if flags & PADDED else payload
        depends_on_itself = False
        if flags & PRIORITY_FLAG:
            if len(fragment) < 5:
                raise RemoteProtocolError("HEADERS without its priority", ErrorCode.FRAME_SIZE_ERROR)
            depends_on_itself = int.from_bytes(fragment[:4], "big") & MAX_STREAM_ID == stream_id
            fragment = fragment[5:]
        if depends_on_itself:
            raise RemoteProtocolError("a stream that depends on itself")
        if not stream_id & 1 or (self._client and self._is_idle(stream_id)):
            raise RemoteProtocolError(f"HEADERS on stream {stream_id}, which the peer cannot open")
        if flags & END_HEADERS:
            self._decode_headers(stream_id, flags, fragment)
        else:
            self._block = HeaderBlock(stream_id, flags, fragment)

    # -- data

    def _unusual_data(self, flags: int, stream_id: int, payload: bytes) -> None:
        """DATA that is padded or that belongs to no call that takes it."""
        if not self._closed:
            self._whole_data(flags, stream_id, payload)

    def _whole_data(self, flags: int, stream_id: int, payload: bytes) -> None:
        """Any DATA frame, checked step by step."""
        length = len(payload)
        if not stream_id:
            raise RemoteProtocolError("DATA on no stream")
        self._connection_received += length
        if self._connection_received > self._connection_window:
            self._window_exceeded(length)
        data = without_padding(payload) if flags & PADDED else payload
        call = self.streams.get(stream_id)
        if call is None:
            self._check_not_idle(stream_id, "DATA")
            if not self._was_reset_here(stream_id):
                raise RemoteProtocolError("DATA on a closed stream", ErrorCode.STREAM_CLOSED)
            return
        call.wire_received -= length
        if call.wire_received < 0:
            self._window_exceeded(length)
        state: int = call.wire_state
        if state & REMOTE_CLOSED:
            self._stream_error(stream_id, "DATA behind END_STREAM", ErrorCode.STREAM_CLOSED)
        elif state & DETACHED:
            if not self._fits(call, len(data), ended=flags & END_STREAM != 0):
                return
            if flags & END_STREAM:
                call.wire_state = state | REMOTE_CLOSED
                self._ended_remotely(call)
            elif call.wire_received < call.wire_low:
                self._top_up(call)
        elif not state & READABLE:
            self._stream_error(stream_id, "DATA in front of HEADERS", ErrorCode.PROTOCOL_ERROR)
        else:
            self._take_data(call, data, length - len(data), flags)

    def _take_data(self, call: Call, data: bytes, padding: int, flags: int) -> None:
        """Cut octets of a call into messages, whatever they are: several, parts of one, compressed."""
        if flags & END_STREAM:
            call.wire_state = call.wire_state & ~READABLE | REMOTE_CLOSED
        elif not data and not padding:
            self._count_frame(DATA, flags, 0)
        credit = None if call.auto_consume else call.wire_a or self._new_credit(call)
        reader: MessageReader | ForeignBody | None = call.wire_inbound
        if isinstance(reader, ForeignBody):
            if reader.add(data) or flags & END_STREAM:
                self._fail_call(call, reader.status, ErrorCode.CANCEL)
            return
        if credit is not None:
            credit.received(len(data), padding)
        if reader is None:
            taken = self._take_whole_messages(call, data, 0, credit)
            if call.wire_state is None or call.wire_state & DETACHED:
                return
            if taken == len(data):
                self._data_taken(call, credit, flags)
            else:
                self._work(self._take_more(call, data, taken, credit, flags))
            return
        if not self._fits(call, len(data)):
            return
        self._work(self._take_messages(call, reader, data, credit, flags))

    def _take_more(
        self, call: Call, data: bytes, taken: int, credit: StreamCredit | None, flags: int
    ) -> Iterator[None]:
        """What follows the first few whole messages of a frame: more of them, a step after every few, and a part."""
        before = 0
        while before < taken < len(data):
            yield
            if call.wire_state is None or call.wire_state & DETACHED:
                return
            before, taken = taken, self._take_whole_messages(call, data, taken, credit)
            if call.wire_state is None or call.wire_state & DETACHED:
                return
        if taken == len(data):
            self._data_taken(call, credit, flags)
            return
        reader = call.wire_inbound = MessageReader(self._max_message_size)
        yield from self._take_messages(call, reader, data[taken:], credit, flags)

    def _take_messages(
        self, call: Call, reader: MessageReader, data: bytes, credit: StreamCredit | None, flags: int
    ) -> Iterator[None]:
        """Give the messages that ``data`` completes to the call, a step after every few of them."""
        inflates = not call.inflates_messages
        reader.is_modest = is_memory_scarce(self._holdings, self.config.memory_budget)
        given = 0
        try:
            for message in reader.feed(data):
                if reader.is_compressed:
                    call.compressed_messages += 1
                    if inflates:
                        message = yield from reader.inflating(message)
                        if call.wire_state is None or call.wire_state & DETACHED:
                            return
                if credit is not None:
                    credit.delivered(len(message), reader.wire_size)
                    self._holdings.octets += len(message) + MESSAGE_OVERHEAD
                call.on_message(message)
                if call.wire_state is None or call.wire_state & DETACHED:
                    return
                given += 1
                if given >= TURN_MESSAGES:
                    given = 0
                    yield
                    if call.wire_state is None or call.wire_state & DETACHED:
                        return
        except RemoteProtocolError as error:
            if call.wire_state is None or call.wire_state & DETACHED:
                return  # it has ended between two steps
            if isinstance(error, MessageTooLarge):
                self._fail_call(call, Status(StatusCode.RESOURCE_EXHAUSTED, str(error)), ErrorCode.CANCEL)
            else:
                self._call_fault(call, Status(StatusCode.INTERNAL, str(error)), ErrorCode.CANCEL)
        else:
            if reader.partial and len(data) < SMALL_PART:
                self._floods.small_part(self.now)
            self._charge_part(call, reader)
            if not reader.partial and reader.coding is IDENTITY and type(reader) is MessageReader:
                call.wire_inbound = None
            self._data_taken(call, credit, flags)

    def _data_taken(self, call: Call, credit: StreamCredit | None, flags: int) -> None:
        """What a DATA frame holds has been looked at."""
        if flags & END_STREAM:
            self._end_of_stream(call)
        elif credit is not None:
            self._give_credit(call, credit)
        elif call.wire_received < call.wire_low:
            self._top_up(call)

    def _take_parts(self, call: Call, reader: MessageReader, data: bytes, start: int, length: int) -> int:
        """Take a part of a message, which does not complete it, and the frames behind it that are just alike.

        The part is the ``length`` octets from ``start`` on, and is held against the windows. A large message comes in
        hundreds of frames that have the same head. Gives how many octets more were taken.
        """
        step = HEAD_SIZE + length
        head = data[start - HEAD_SIZE : start]
        following = min(
            (len(data) - start - length) // step,
            (reader.missing - 1) // length - 1,
            call.wire_received // length,
            (self._connection_window - self._connection_received) // length,
        )
        last = start
        while following and data.startswith(head, last + length):
            last += step
            following -= 1
        view = memoryview(data)
        more = last - start
        octets = length
        if more:
            octets += more // step * length
            self._connection_received += octets - length
            call.wire_received -= octets - length
        reader.is_modest = is_memory_scarce(self._holdings, self.config.memory_budget)
        reader.take_parts([view[at : at + length] for at in range(start, last + 1, step)], octets)
        if length < SMALL_PART:
            self._floods.small_part(self.now, octets // length)
        self._charge_part(call, reader)
        if not call.auto_consume:
            self._part_received(call, octets)
        elif call.wire_received < call.wire_low:
            self._top_up(call)
        return more

    def _take_whole_messages(self, call: Call, data: bytes, start: int, credit: StreamCredit | None) -> int:
        """Hand out the whole, uncompressed messages of ``data`` from ``start`` on, up to TURN_MESSAGES of them.

        Gives where they end.
        """
        end = len(data)
        limit = self._max_message_size
        holdings = self._holdings
        given = 0
        while given < TURN_MESSAGES:
            if end - start < PREFIX_SIZE:
                break
            compressed, size = unpack_prefix(data, start)
            stop = start + PREFIX_SIZE + size
            if stop > end or compressed or size > limit:
                break
            if credit is not None:
                credit.delivered(size, PREFIX_SIZE + size)
                holdings.octets += size + MESSAGE_OVERHEAD
            call.on_message(data[start + PREFIX_SIZE : stop])
            given += 1
            start = stop
            if call.wire_state is None or call.wire_state & DETACHED:
                break
        if given > 1 and not self._client:
            self._turn.messages_came(given)
        return start

    def _fits(self, call: Call, octets: int, *, ended: bool = False) -> bool:
        """Whether octets of a body are as many as content-length says; else its stream is reset."""
        reader = call.wire_inbound
        if type(reader) is MeasuredReader:
            try:
                reader.length.came(octets)
                if ended:
                    reader.length.ended()
            except RemoteProtocolError as error:
                self._stream_error(call.wire_id, str(error), ErrorCode.PROTOCOL_ERROR)
                return False
        return True

    def _end_of_stream(self, call: Call) -> None:
        """The peer has sent END_STREAM, and that is noted in the call's state."""
        if call.wire_state & DETACHED:
            self._ended_remotely(call)
            return
        reader: MessageReader | None = call.wire_inbound
        if reader is not None:
            if not self._fits(call, 0, ended=True):
                return
            try:
                reader.finish()
            except RemoteProtocolError as error:
                self._call_fault(call, Status(StatusCode.INTERNAL, str(error)), ErrorCode.CANCEL)
                return
        self._half_closed(call)

    def _window_exceeded(self, length: int) -> None:
        if length:  # an empty frame fits any window
            raise RemoteProtocolError("more DATA than the window allows", ErrorCode.FLOW_CONTROL_ERROR)

    # -- what the two ends do differently

    def _ended_remotely(self, call: Call) -> None:
        """END_STREAM came, when the call had been answered already."""

    @abstractmethod
    def _headers(self, stream_id: int, flags: int, run: FieldRun | None, fields: Fields) -> None:
        """A header list came: those of ``run`` and then ``fields``; None stands for a list that is too large."""

    @abstractmethod
    def _half_closed(self, call: Call) -> None:
        """The peer ended the stream, and not with trailers."""


IDENTITY = CODINGS["identity"]
