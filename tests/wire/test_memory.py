"""What is held of a peer's messages: charged, bounded for a connection and for a server, and let go."""

from __future__ import annotations

import pytest
from hyperframe.frame import SettingsFrame, WindowUpdateFrame
from hypothesis import given
from hypothesis import strategies as st
from tests.wire.peers import RecordingCall, drain
from tests.wire.scripted import REQUEST, RESPONSE, ScriptedClient, ScriptedServer, message
from tests.wire.test_flow_control import granted

from puregrpc.wire import EngineName
from puregrpc.wire.connection import ConnectionConfig, Request
from puregrpc.wire.frames import ErrorCode
from puregrpc.wire.limits import (
    CALL_MEMORY,
    CONNECTION_MEMORY,
    FIRST_STREAM_WINDOW,
    GUARANTEED_MEMORY,
    MESSAGE_OVERHEAD,
)
from puregrpc.wire.memory import LEAST_WINDOW, STALLED_FOR, Holdings, MemoryBudget
from puregrpc.wire.status import StatusCode

SMALL = ConnectionConfig(connection_memory=1 << 20, max_receive_message_size=500_000)


def unread(_request: Request) -> RecordingCall:
    call = RecordingCall()
    call.auto_consume = False
    return call


def clients(engine: EngineName, count: int, config: ConnectionConfig) -> list[ScriptedClient]:
    peers = [ScriptedClient(engine, config) for _ in range(count)]
    for peer in peers:
        peer.driver.on_request = unread
    return peers


def test_tiny_messages_cost_more_than_their_octets(engine: EngineName) -> None:
    """The call that holds most is ended, and no other."""
    [peer] = clients(engine, 1, SMALL)
    peer.send(peer.headers(1, REQUEST), peer.headers(3, REQUEST), peer.data(3, message(b"fine")))
    count = (1 << 20) // MESSAGE_OVERHEAD
    for _ in range(count // 1000 + 1):
        peer.send(peer.data(1, message(b"") * 1000))
    greedy, modest = peer.calls
    assert greedy.status.code == StatusCode.RESOURCE_EXHAUSTED
    assert len(greedy.messages) > count // 2
    assert not modest.ended
    assert not peer.driver.closed
    peer.said()


def test_a_reader_that_keeps_up_is_never_ended(engine: EngineName) -> None:
    [peer] = clients(engine, 1, SMALL)
    peer.send(peer.headers(1, REQUEST))
    for _ in range(30):
        peer.send(peer.data(1, message(b"") * 3000))
        for _ in range(3000):
            peer.connection.consume(peer.calls[0], 0)
        peer.said()
    assert not peer.calls[0].ended
    assert len(peer.calls[0].messages) == 90_000


def test_a_client_ends_no_call_of_its_own(engine: EngineName) -> None:
    with ScriptedServer(engine, SMALL) as peer:
        call = RecordingCall()
        call.auto_consume = False
        peer.connection.open_call(call, Request("/a.B/C", "x"))
        peer.send(peer.headers(1, RESPONSE))
        for _ in range(20):
            peer.send(peer.data(1, message(b"") * 1000))
        assert not call.ended
        peer.said()


def test_the_window_of_the_connection_closes_as_memory_fills_up(engine: EngineName) -> None:
    config = ConnectionConfig(connection_memory=1 << 20, max_receive_message_size=500_000)
    [peer] = clients(engine, 1, config)
    for number in range(15):
        stream_id = 2 * number + 1
        peer.send(peer.headers(stream_id, REQUEST))
        for _ in range(4):
            peer.send(peer.data(stream_id, message(bytes(15_000))))
    held = 60 * (15_000 + MESSAGE_OVERHEAD)
    outstanding = peer.connection.snapshot().receive_window
    assert outstanding <= (1 << 20) - held + (1 << 18)
    assert not any(call.ended for call in peer.calls)
    before = granted(peer, 0)
    for call in peer.calls:
        peer.connection.consume(call, 60_000)
    assert granted(peer, 0) > before
    assert peer.connection.snapshot().receive_window > (1 << 19)


def test_a_new_stream_of_a_server_has_a_small_window_that_opens_with_use(engine: EngineName) -> None:
    with ScriptedClient(engine, shake_hands=False) as peer:
        peer.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", peer.settings(), peer.settings_ack())
        peer.said()
        announced = [one.settings for one in peer.received if isinstance(one, SettingsFrame) and one.settings]
        assert [settings[4] for settings in announced] == [FIRST_STREAM_WINDOW]
        peer.send(peer.headers(1, REQUEST))
        large = message(bytes(300_000))
        for start in range(0, 49_152, 16_384):
            peer.send(peer.data(1, large[start : start + 16_384]))
        assert granted(peer, 1) > 900_000


class Uploads:
    """A client that sends a large message on each of many streams, as far as the windows let it."""

    def __init__(self, peer: ScriptedClient, count: int) -> None:
        self.peer = peer
        self.message = message(bytes(400_000))
        self.sent = dict.fromkeys(range(1, 2 * count, 2), 0)
        self.windows = dict.fromkeys(self.sent, FIRST_STREAM_WINDOW)
        self.windows[0] = 1 << 20
        peer.send(*(peer.headers(stream_id, REQUEST) for stream_id in self.sent))
        peer.said()
        self.known = len(peer.received)

    def go_on(self, *, without: int | None = None) -> bool:
        """Send a frame on each stream that has a window, but for one; whether anything was sent or came."""
        sent, windows, whole = self.sent, self.windows, len(self.message)
        moves = False
        for stream_id in [each for each in sent if each != without]:
            size = min(16_384, windows[0], windows[stream_id], whole - sent[stream_id])
            if size > 0:
                part = self.message[sent[stream_id] : sent[stream_id] + size]
                sent[stream_id] += size
                self.peer.send(self.peer.data(stream_id, part, end=sent[stream_id] == whole))
                windows[0] -= size
                windows[stream_id] -= size
                moves = True
            if sent[stream_id] == whole:
                del sent[stream_id]
        return self.hear() or moves

    def hear(self) -> bool:
        self.peer.said()
        updates = [one for one in self.peer.received[self.known :] if isinstance(one, WindowUpdateFrame)]
        for one in updates:
            self.windows[one.stream_id] += one.window_increment
        self.known = len(self.peer.received)
        return bool(updates)

    def answer(self) -> None:
        """The server takes the messages that are whole."""
        for call in self.peer.calls:
            if call.half_closed and call.wire_state is not None:
                self.peer.connection.consume(call, 400_000)
                self.peer.connection.send_response(call, b"")


MANY_AT_ONCE = ConnectionConfig(connection_memory=8 << 20, max_receive_message_size=500_000)


def test_messages_that_are_not_whole_take_turns(engine: EngineName) -> None:
    """Many at once would fill the memory, and none of them would ever be whole."""
    [peer] = clients(engine, 1, MANY_AT_ONCE)
    uploads = Uploads(peer, 30)
    for _ in range(2000):
        if not uploads.sent:
            break
        uploads.go_on()
        uploads.answer()
        uploads.hear()
        assert peer.connection._holdings.octets < 8 << 20  # type: ignore[attr-defined]
    assert not uploads.sent
    assert not any(call.ended for call in peer.calls)
    assert all(len(call.messages) == 1 for call in peer.calls)


@pytest.mark.parametrize("by", ["server", "client"])
def test_whose_turn_it_was_is_cancelled(engine: EngineName, by: str) -> None:
    """The others go on, though nothing of them comes that would bring the next turn."""
    [peer] = clients(engine, 1, MANY_AT_ONCE)
    uploads = Uploads(peer, 60)
    holdings: Holdings = peer.connection._holdings  # type: ignore[attr-defined]
    while uploads.go_on(without=holdings._favored):
        pass
    favored = holdings._favored
    assert favored is not None
    if by == "server":
        peer.connection.reset(next(call for call in peer.calls if call.wire_id == favored))
    else:
        peer.send(peer.reset(favored, ErrorCode.CANCEL))
    del uploads.sent[favored]
    assert uploads.hear()
    while uploads.go_on():
        uploads.answer()
        uploads.hear()
    assert not uploads.sent


def test_nothing_comes_of_whose_turn_it_is(engine: EngineName) -> None:
    """The others go on after a while, one after the other."""
    [peer] = clients(engine, 1, MANY_AT_ONCE)
    uploads = Uploads(peer, 30)
    holdings: Holdings = peer.connection._holdings  # type: ignore[attr-defined]
    while uploads.go_on(without=holdings._favored):
        pass
    stalled = holdings._favored
    assert stalled is not None
    for _ in range(100):
        if len(uploads.sent) == 1:
            break
        when = peer.connection.next_time()
        assert when is not None
        assert when <= peer.now + STALLED_FOR
        peer.wait(when - peer.now)
        while uploads.go_on(without=stalled):
            uploads.answer()
            uploads.hear()
        assert holdings.octets < 8 << 20
    assert list(uploads.sent) == [stalled]
    assert not any(call.ended for call in peer.calls)
    while uploads.go_on():
        uploads.answer()
        uploads.hear()
    assert not uploads.sent


def test_the_greediest_connection_of_a_server_lets_go(engine: EngineName) -> None:
    budget = MemoryBudget(held=200_000 + 8 * CALL_MEMORY)
    config = ConnectionConfig(memory_budget=budget)
    greedy, modest = clients(engine, 2, config)
    modest.send(modest.headers(1, REQUEST), modest.data(1, message(bytes(10_000))))
    greedy.send(greedy.headers(1, REQUEST), greedy.headers(3, REQUEST))
    greedy.send(greedy.data(3, message(bytes(15_000))))
    for _ in range(4):
        greedy.send(greedy.data(1, message(bytes(15_000))))
    assert not greedy.calls[0].ended
    modest.send(*(modest.headers(stream_id, REQUEST) for stream_id in range(3, 13, 2)))
    for stream_id in range(3, 13, 2):
        modest.send(modest.data(stream_id, message(bytes(15_000))))
    greedy.send(*(greedy.data(3, message(bytes(15_000))) for _ in range(3)))
    ended = [call for peer in (greedy, modest) for call in peer.calls if call.ended]
    assert [call.status.code for call in ended] == [StatusCode.RESOURCE_EXHAUSTED]
    assert ended[0] in greedy.calls
    assert budget.held <= 200_000 + 8 * CALL_MEMORY


def test_open_calls_count(engine: EngineName) -> None:
    """The connection with the most gets no more of them; what others open ends its last one."""
    budget = MemoryBudget(held=64 * CALL_MEMORY)
    greedy, modest = clients(engine, 2, ConnectionConfig(memory_budget=budget))
    for stream_id in range(1, 141, 2):
        greedy.send(greedy.headers(stream_id, REQUEST))
    opened = len(greedy.calls)
    assert 62 <= opened <= 65
    greedy.said()
    for stream_id in range(1, 31, 2):
        modest.send(modest.headers(stream_id, REQUEST))
    assert len(modest.calls) == 15
    assert not any(call.ended for call in modest.calls)
    ended = [call for call in greedy.calls if call.ended]
    assert {call.status.code for call in ended} == {StatusCode.RESOURCE_EXHAUSTED}
    assert not any(call.ended for call in greedy.calls[: opened - len(ended)])
    assert budget.held <= 64 * CALL_MEMORY
    modest.said()


def test_large_metadata_count(engine: EngineName) -> None:
    budget = MemoryBudget()
    [peer] = clients(engine, 1, ConnectionConfig(memory_budget=budget))
    peer.send(peer.headers(1, [*REQUEST, *((f"x-{number}", "v") for number in range(100))]))
    assert budget.held > CALL_MEMORY + 100 * (MESSAGE_OVERHEAD // 2)
    peer.send(peer.reset(1, 8))
    assert budget.held == 0


@pytest.mark.parametrize(
    "field",
    [
        (":authority", "a" * 5000),
        ("user-agent", "a" * 5000),
        ("content-type", "application/grpc+" + "a" * 5000),
        ("grpc-accept-encoding", ",".join(f"a{number}" for number in range(100))),
    ],
)
def test_large_fields_of_a_head_count(engine: EngineName, field: tuple[str, str]) -> None:
    budget = MemoryBudget()
    [peer] = clients(engine, 1, ConnectionConfig(memory_budget=budget))
    fields = dict(REQUEST) | dict([field])
    peer.send(peer.headers(1, sorted(fields.items(), key=lambda each: not each[0].startswith(":"))))
    assert budget.held > CALL_MEMORY + 5000
    peer.send(peer.reset(1, 8))
    assert budget.held == 0


def test_a_message_that_its_owner_lets_wait(engine: EngineName) -> None:
    budget = MemoryBudget()
    [peer] = clients(engine, 1, ConnectionConfig(memory_budget=budget))
    peer.send(peer.headers(1, REQUEST))
    peer.connection.charge(peer.calls[0], 5000)
    assert budget.held == 5000 + CALL_MEMORY
    peer.connection.charge(peer.calls[0], -5000)
    assert budget.held == 0
    peer.connection.charge(peer.calls[0], 5000)
    peer.connection.reset(peer.calls[0])
    peer.connection.charge(peer.calls[0], 5000)
    assert budget.held <= 5000 + CALL_MEMORY
    peer.send(peer.ping(b"12345678"))
    assert budget.held == 0


def test_a_client_that_takes_no_answers_and_sends_on(engine: EngineName) -> None:
    """What is kept of its input is held as well: under need it goes, with the connection."""
    budget = MemoryBudget(held=30 * CALL_MEMORY + 7_000)
    peer = ScriptedClient(engine, ConnectionConfig(memory_budget=budget))
    peer.said()
    peer.connection.limit_turns(lambda: 0.0)
    peer.driver.on_request = unread
    connection, calls = peer.connection, peer.calls
    peer.send(*(peer.headers(stream_id, REQUEST) for stream_id in range(1, 61, 2)))
    for call in calls:
        connection.send_headers(call, (("k", "v" * 12_000),))
    assert connection.is_output_clogged
    peer.send(*(peer.data(1, bytes(4)) for _ in range(3000)))
    assert connection.has_input or peer.driver.closed
    peer.send(*(peer.data(1, bytes(4)) for _ in range(3000)))
    peer.send(*(peer.data(1, bytes(4)) for _ in range(3000)))
    connection.charge(calls[0], 1)
    assert peer.driver.closed
    assert budget.held == 0


def test_what_is_guaranteed_is_not_taken(engine: EngineName) -> None:
    config = ConnectionConfig(memory_budget=MemoryBudget(held=1000))
    peers = clients(engine, 3, config)
    for peer in peers:
        peer.send(peer.headers(1, REQUEST), peer.data(1, message(bytes(16_000))))
    assert not any(peer.calls[0].ended for peer in peers)
    assert 3 * GUARANTEED_MEMORY > 3 * 16_000


def test_a_connection_that_ends_leaves_the_budget(engine: EngineName) -> None:
    budget = MemoryBudget()
    first, second = clients(engine, 2, ConnectionConfig(memory_budget=budget))
    for peer in (first, second):
        peer.send(peer.headers(1, REQUEST), peer.data(1, message(bytes(10_000))))
    assert budget.held == 2 * (10_000 + MESSAGE_OVERHEAD + CALL_MEMORY)
    first.connection.lost("gone")
    assert budget.held == 10_000 + MESSAGE_OVERHEAD + CALL_MEMORY
    second.send(second.reset(1, 8))
    assert budget.held == 0
    assert budget.unsent < 1000


def test_handlers_wait_for_all_connections(engine: EngineName) -> None:
    budget = MemoryBudget(unsent=1_000_000)
    config = ConnectionConfig(memory_budget=budget)
    peers = [ScriptedClient(engine, config, INITIAL_WINDOW_SIZE=0) for _ in range(4)]
    for peer in peers[:3]:
        peer.send(*peer.request(1))
        peer.connection.send_response(peer.calls[0], bytes(400_000))
        peer.send(*peer.request(3))
    assert [peer.connection.is_send_full for peer in peers] == [True, True, True, False]
    peers[0].send(peers[0].window_update(1, 500_000), peers[0].window_update(0, 500_000))
    drain(peers[0].connection)
    assert not any(peer.connection.is_send_full for peer in peers)


def test_relieve_without_anything_held(engine: EngineName) -> None:
    with ScriptedClient(engine) as peer:
        peer.connection.relieve()
        peer.send(peer.headers(1, REQUEST))
        peer.connection.relieve()
        assert not peer.calls[0].ended


# -- the parts


def test_holdings() -> None:
    holdings = Holdings(1 << 20, 1000, ends_calls=True)
    assert holdings.memory == 1 << 20
    assert Holdings(CONNECTION_MEMORY, 1 << 30, ends_calls=True).memory == 2 << 30
    assert holdings.window(1 << 18) == 1 << 18
    holdings.octets = (1 << 20) - 100_000
    assert holdings.window(1 << 18) == 100_000
    holdings.octets = 1 << 20
    assert holdings.window(1 << 18) == LEAST_WINDOW
    assert holdings.window(1000) == 1000
    assert not holdings.are_too_large
    holdings.octets += 1
    assert holdings.are_too_large
    assert not Holdings(0, 0, ends_calls=False).are_too_large


def test_grown_windows_are_half_of_the_memory() -> None:
    holdings = Holdings(1000, 0, ends_calls=True)
    assert holdings.stream_window(1, 100, 300) == 300
    assert holdings.stream_window(3, 100, 300) == 200
    assert holdings.stream_window(5, 100, 300) == 100
    assert holdings.stream_window(1, 300, 500) == 300
    holdings.is_over(3)
    holdings.is_over(3)
    assert holdings.stream_window(1, 300, 500) == 500
    holdings.is_over(1)
    holdings.octets = 251
    assert holdings.stream_window(5, 100, 300) == 100


def test_one_message_after_the_other_goes_on() -> None:
    holdings = Holdings(1000, 0, ends_calls=True)
    assert holdings.may_go_on(1)
    holdings.octets = 251
    assert [holdings.may_go_on(stream_id) for stream_id in (1, 3, 1, 5)] == [True, False, True, False]
    assert holdings.due() == []
    holdings.is_whole(3)
    holdings.is_whole(1)
    assert holdings.due() == [5]
    assert not holdings.may_go_on(7)
    holdings.octets = 250
    assert holdings.due() == [7]
    assert holdings.due() == []


class Holder:
    """A connection with a few calls."""

    def __init__(self, budget: MemoryBudget) -> None:
        self.budget = budget
        self.calls: list[int] = []
        self.lost = 0

    def take(self, octets: int) -> None:
        self.calls.append(octets)
        self.budget.update(self, sum(self.calls), 0)

    def relieve(self) -> None:
        if self.calls:
            self.lost += 1
            self.calls.remove(max(self.calls))
        self.budget.update(self, sum(self.calls), 0)


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(1, 3000)), max_size=400))
def test_a_budget_is_kept(steps: list[tuple[int, int]]) -> None:
    budget = MemoryBudget(10_000, guaranteed=1000)
    holders = [Holder(budget) for _ in range(5)]
    for number, octets in steps:
        before = [sum(holder.calls) for holder in holders]
        holders[number].take(octets)
        before[number] += octets
        held = [sum(holder.calls) for holder in holders]
        assert budget.held == sum(held) <= 10_000
        for index, holder in enumerate(holders):
            assert holder.lost or held[index] == before[index]
            assert held[index] == before[index] or before[index] > 1000, "what is guaranteed is left"


def test_a_budget_may_have_to_wait() -> None:
    """Until whoever drives the greediest connection has come to it, nobody else is asked."""
    asked: list[object] = []
    budget = MemoryBudget(100, guaranteed=10, relieve=asked.append)
    first, second = Holder(budget), Holder(budget)
    first.take(90)
    second.take(30)
    second.take(5)
    assert asked == [first]
    assert budget.held == 125
    first.relieve()
    assert budget.held == 35
    first.take(60)
    second.take(7)
    second.take(9)
    assert asked == [first, first]
    second.take(60)
    assert second.lost, "beyond a quarter more, whoever brings it lets go"
    assert asked == [first, first]
    assert budget.held <= 125


def test_who_is_greediest_lets_go_at_once() -> None:
    asked: list[object] = []
    budget = MemoryBudget(100, guaranteed=10, relieve=asked.append)
    first, second = Holder(budget), Holder(budget)
    first.take(40)
    second.take(50)
    second.take(20)
    assert not asked
    assert (first.lost, second.lost) == (0, 1)


@pytest.mark.parametrize("held", [0, 7])
def test_a_sum_that_got_lost_is_made_anew(held: int) -> None:
    budget = MemoryBudget()
    holder = Holder(budget)
    budget._held_total = budget._unsent_total = 999
    for _ in range(300):
        budget.update(holder, held, held)
    assert (budget.held, budget.unsent) == (held, held)


def test_what_a_call_held_goes_with_it_though_a_turn_stopped_within_it(engine: EngineName) -> None:
    """The rest of a frame is kept for the next turn; what was counted for its call is not."""
    [peer] = clients(engine, 1, SMALL)
    peer.connection.limit_turns(iter(range(1000)).__next__, 1)
    peer.send(peer.headers(1, REQUEST), peer.data(1, message(b"") * 3000))
    assert peer.connection.has_input
    call: object = peer.calls[0].wire_state if engine == "h2" else peer.calls[0]
    credit = getattr(call, "credit", None) or call.wire_a  # type: ignore[attr-defined]
    assert credit.held
    peer.connection.relieve()
    assert peer.calls[0].ended
    assert not credit.held
    assert not credit._waiting


def test_a_header_block_without_end_is_held(engine: EngineName) -> None:
    """Under need it goes, with its connection."""
    budget = MemoryBudget(held=GUARANTEED_MEMORY * 2)
    first, second = clients(engine, 2, ConnectionConfig(memory_budget=budget))
    for peer in (first, second):
        for kind in (1, 9, 9):  # HEADERS, and CONTINUATION
            octets = b"\0\1x\x7f\xff\x7c" + bytes(16_000)
            peer.connection.receive(len(octets).to_bytes(3, "big") + bytes((kind, 0, 0, 0, 0, 1)) + octets, 0.0)
    assert first.driver.closed != second.driver.closed
    assert GUARANTEED_MEMORY < budget.held < 60_000


def test_input_that_waits_is_held_and_cannot_be_let_go_of(engine: EngineName) -> None:
    budget = MemoryBudget()
    [peer] = clients(engine, 1, ConnectionConfig(memory_budget=budget))
    peer.connection.receive((16_000).to_bytes(3, "big") + bytes((9 + 0xF0, 0, 0, 0, 0, 0)) + bytes(15_000), 0.0)
    assert 15_000 <= budget.held < 16_000
    peer.connection.relieve()
    assert not peer.driver.closed
    peer.connection.receive(bytes(1_000), 0.0)
    assert budget.held == 0


def test_a_request_that_is_not_grpc_lets_go_as_well(engine: EngineName) -> None:
    budget = MemoryBudget(held=10 * CALL_MEMORY)
    [peer] = clients(engine, 1, ConnectionConfig(memory_budget=budget))
    foreign = [(":method", "GET"), *REQUEST[1:]]
    for stream_id in range(1, 201, 2):
        peer.send(peer.headers(stream_id, foreign))
    assert budget.held <= 10 * CALL_MEMORY
    assert not peer.driver.closed
