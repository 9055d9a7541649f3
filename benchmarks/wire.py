"""The wire engines in memory, without sockets and tasks: ``wire.py [ROUNDS]``. Processor time, medians of the rounds.

A client's and a server's connection stand back to back; each step is timed by itself. "1" carries one call at a time
(what a call costs with everything that is done once per read and write), "50" fifty calls in one piece, as under load.
A rich call has a deadline, a bearer token and a request id of its own. HPACK is measured beside the hpack package.
"""

from __future__ import annotations

import argparse
import statistics
import uuid
from functools import partial
from time import process_time
from typing import TYPE_CHECKING

import hpack

from puregrpc.wire import EngineName, client_connection, server_connection
from puregrpc.wire.connection import Call, ConnectionConfig, Request, ServerCall
from puregrpc.wire.fast.hpack_decoder import HeaderDecoder
from puregrpc.wire.fast.hpack_encoder import ConstantFields, HeaderEncoder, literal

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

ENGINES: tuple[EngineName, ...] = ("h2", "fast")
PATH = "/grpc.testing.TestService/UnaryCall"
MESSAGE = b"0123456789"
TOKEN = "Bearer " + "t" * 60
STEPS = ("client sends", "server receives", "server sends", "client receives")


class Served(ServerCall):
    """A server's call; the connection's calls are kept by their driver in the order in which they came."""

    __slots__ = ("got",)

    def __init__(self) -> None:
        super().__init__()
        self.got = 0

    def on_message(self, message: bytes) -> None:
        self.got += 1


class Asked(Call):
    """A client's call that counts what comes."""

    __slots__ = ("got", "over")

    def __init__(self) -> None:
        super().__init__()
        self.got = 0
        self.over = False

    def on_message(self, message: bytes) -> None:
        self.got += 1

    def on_end(self, status: object, trailers: object, *, unprocessed: bool) -> None:
        self.over = True


class Owner:
    """A driver that does nothing but take calls."""

    def __init__(self, *, auto_consume: bool = True) -> None:
        self.calls: list[Served] = []
        self.auto_consume = auto_consume

    def on_output(self) -> None:
        pass

    def on_ready(self) -> None:
        pass

    def on_call(self, request: Request) -> ServerCall:
        call = Served()
        call.auto_consume = self.auto_consume
        self.calls.append(call)
        return call

    def on_going_away(self, reason: str) -> None:
        pass

    def on_closed(self, reason: str) -> None:
        raise RuntimeError(reason)


class Both:
    """Both ends of a connection, past their SETTINGS."""

    def __init__(self, engine: EngineName, *, auto_consume: bool = True) -> None:
        config = ConnectionConfig(user_agent="puregrpc/0.1", max_receive_message_size=2**31 - 1)
        self.owner = Owner(auto_consume=auto_consume)
        self.client = client_connection(Owner(), config, engine=engine)
        self.server = server_connection(self.owner, config, engine=engine)
        self.client.start(0.0)
        self.server.start(0.0)
        self.settle()

    def settle(self) -> None:
        """Carry octets both ways until none are left."""
        while True:
            up = self.client.data_to_send(1 << 20)
            if up:
                self.server.receive(up, 0.0)
            down = self.server.data_to_send(1 << 20)
            if down:
                self.client.receive(down, 0.0)
            if not up and not down:
                return


def unary(engine: EngineName, at_a_time: int, calls: int, *, rich: bool) -> list[float]:
    """Microseconds a call for each of STEPS."""
    both = Both(engine)
    client, server, served = both.client, both.server, both.owner.calls
    requests = [
        Request(PATH, "localhost:50051", (("authorization", TOKEN), ("x-request-id", uuid.uuid4().hex)) if rich else ())
        for _ in range(at_a_time)
    ]
    deadline = 1e9 if rich else None
    spent = [0.0, 0.0, 0.0, 0.0]
    rounds = calls // at_a_time
    for number in range(rounds):
        if number == rounds // 10:
            spent = [0.0, 0.0, 0.0, 0.0]
        asked = [Asked() for _ in range(at_a_time)]
        start = process_time()
        for call, request in zip(asked, requests, strict=True):
            client.open_call(call, request, message=MESSAGE, end=True, deadline=deadline, now=0.0)
        up = client.data_to_send()
        sent = process_time()
        server.receive(up, 0.0)
        received = process_time()
        for answered in served:
            server.send_response(answered, MESSAGE)
        down = server.data_to_send()
        answered_all = process_time()
        client.receive(down, 0.0)
        end = process_time()
        if not all(call.over for call in asked):
            raise RuntimeError("a call is not over")
        served.clear()
        for step, seconds in enumerate((sent - start, received - sent, answered_all - received, end - answered_all)):
            spent[step] += seconds
    return [seconds / (rounds - rounds // 10) / at_a_time * 1e6 for seconds in spent]


def stream(engine: EngineName, size: int, count: int, *, at_a_time: int) -> tuple[float, float]:
    """Seconds a message to send and to receive, each message consumed by its owner."""
    both = Both(engine, auto_consume=False)
    call = Asked()
    both.client.open_call(call, Request(PATH, "localhost"), now=0.0)
    both.settle()
    [served] = both.owner.calls
    message = bytes(size)
    sending = receiving = 0.0
    for _ in range(0, count, at_a_time):
        start = process_time()
        for _ in range(at_a_time):
            both.client.send_message(call, message)
        sending += process_time() - start
        while True:
            start = process_time()
            up = both.client.data_to_send()
            middle = process_time()
            sending += middle - start
            if not up:
                break
            got = served.got
            both.server.receive(up, 0.0)
            if served.got != got:
                both.server.consume(served, size * (served.got - got))
            receiving += process_time() - middle
            down = both.server.data_to_send()
            if down:
                both.client.receive(down, 0.0)
    if served.got != count:
        raise RuntimeError(f"{served.got} of {count} messages came")
    return sending / count, receiving / count


CONSTANT = (
    (b":method", b"POST"), (b":scheme", b"http"), (b":path", PATH.encode()), (b":authority", b"localhost:50051"),
    (b"te", b"trailers"), (b"content-type", b"application/grpc"), (b"user-agent", b"puregrpc/0.1"),
)  # fmt: skip


def header_blocks(varying: bool) -> dict[str, float]:
    """Microseconds a block: written by each encoder, read by each decoder, and both ways of a peer that indexes all."""
    count = 2000
    fields = [
        ((b"grpc-timeout", b"%du" % (9_999_000 + number)), (b"x-request-id", uuid.uuid4().hex.encode()))
        if varying
        else ()
        for number in range(count)
    ]
    result = {}
    encoder, constant = HeaderEncoder(), ConstantFields(CONSTANT)
    start = process_time()
    mine = [encoder.encode(constant) + b"".join([literal(*field) for field in rest]) for rest in fields]
    result["encode, fast"] = process_time() - start
    reference = hpack.Encoder()
    start = process_time()
    indexed = [reference.encode([*CONSTANT, *rest]) for rest in fields]
    result["encode, hpack"] = process_time() - start
    for name, blocks in (("", mine), (" (all indexed)", indexed)):
        decoder = HeaderDecoder(1 << 16)
        start = process_time()
        for block in blocks:
            decoder.decode(block)
        result[f"decode, fast{name}"] = process_time() - start
        plain = hpack.Decoder()
        start = process_time()
        for block in blocks:
            plain.decode(block, raw=True)
        result[f"decode, hpack{name}"] = process_time() - start
    return {name: seconds / count * 1e6 for name, seconds in result.items()}


def medians(rounds: int, measure: Callable[[], Sequence[float]]) -> list[float]:
    return [statistics.median(column) for column in zip(*(measure() for _ in range(rounds)), strict=True)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("rounds", nargs="?", type=int, default=5)
    rounds = parser.parse_args().rounds
    print(f"{'unary, µs a call':26}" + "".join(f"{step:>17}" for step in STEPS) + f"{'client':>9}{'server':>9}")
    for rich in (False, True):
        for at_a_time in (50, 1):
            for engine in ENGINES:
                calls = 2000 if engine == "h2" else 10_000
                steps = medians(rounds, partial(unary, engine, at_a_time, calls, rich=rich))
                name = f"{'rich' if rich else 'plain'}, {at_a_time} at a time, {engine}"
                row = "".join(f"{step:17.2f}" for step in steps)
                print(f"{name:26}{row}{steps[0] + steps[3]:9.2f}{steps[1] + steps[2]:9.2f}")
    print(f"\n{'streams':26}{'sends':>17}{'receives':>17}")
    for size, count, at_a_time in ((10, 5000, 50), (64 << 10, 400, 4), (4 << 20, 8, 1)):
        for engine in ENGINES:
            sends, receives = medians(rounds, partial(stream, engine, size, count, at_a_time=at_a_time))
            if size < 1000:
                row = f"{sends * 1e6:14.2f} µs{receives * 1e6:14.2f} µs"
            else:
                row = f"{size / sends / 1e6:12.0f} MB/s{size / receives / 1e6:12.0f} MB/s"
            print(f"{f'{size} octets, {engine}':26}{row}")
    print(f"\n{'header blocks, µs':34}{'constant':>12}{'varying':>12}")
    tables = [[header_blocks(varying) for _ in range(rounds)] for varying in (False, True)]
    for name in tables[0][0]:
        row = "".join(f"{statistics.median(table[name] for table in column):12.2f}" for column in tables)
        print(f"{name:34}{row}")


if __name__ == "__main__":
    main()
