"""A program under gevent's patched standard library: many greenlets share one Client. Run by test_gevent."""

from gevent import monkey

monkey.patch_all()

import sys  # noqa: E402 - the patching comes first
import time  # noqa: E402

import gevent  # noqa: E402
from gevent.event import Event  # noqa: E402

from puregrpc import Client, Stream  # noqa: E402

GREENLETS = 50
CALLS = 10


class Writes:
    """Counts the writes to the connections, and the connections by their prefaces."""

    def __init__(self) -> None:
        self.count = 0
        self.connections = 0

    def sent(self, data: bytes, _when: float) -> None:
        self.count += 1
        self.connections += data.startswith(b"PRI * HTTP/2.0")

    def received(self, _data: bytes, _when: float) -> None:
        """Not of interest."""


def main() -> None:
    """Unary calls from many greenlets, a deadline, and streams, while the hub stays responsive."""
    address, definitions = sys.argv[1:]
    client = Client()
    client.load([definitions], "hello.proto")
    writes = Writes()
    client.connect(address, plaintext=True, trace=writes)
    ticks = 0

    def tick() -> None:
        nonlocal ticks
        while True:
            gevent.sleep(0.005)
            ticks += 1

    def call(name: str) -> None:
        for _ in range(CALLS):
            response = client.invoke("hello.HelloService/SayHello", {"greeting": name})
            assert response.message == {"reply": f"hello {name}"}, response

    def converse(name: str) -> None:
        with_iteration = Stream(client, "hello.HelloService/BidiHello")
        for _ in range(3):
            with_iteration.write({"greeting": name})
        with_iteration.end()
        assert [message["reply"] for message in with_iteration] == [f"hello {name}"] * 3

    ticker = gevent.spawn(tick)
    started = time.monotonic()
    gevent.joinall(
        [gevent.spawn(call, f"caller {number}") for number in range(GREENLETS)], raise_error=True, timeout=30
    )
    assert writes.count < GREENLETS * CALLS / 2, f"{writes.count} writes for {GREENLETS * CALLS} calls"
    work = [gevent.spawn(call, f"caller {number}") for number in range(GREENLETS)]
    work += [gevent.spawn(converse, f"speaker {number}") for number in range(5)]
    gevent.joinall(work, raise_error=True, timeout=30)
    assert all(greenlet.ready() for greenlet in work)
    late = client.invoke("hello.HelloService/SayHello", {"greeting": "late"}, timeout=0.0001)
    assert late.status == 4, late

    def give_up() -> None:
        with gevent.Timeout(0.002, False):
            while True:
                call("hasty")

    gevent.joinall([gevent.spawn(give_up) for _ in range(GREENLETS)], raise_error=True, timeout=30)
    call("patient")
    assert writes.connections == 1, "a greenlet that gave up broke the connection"

    heard = []
    over = Event()
    stream = Stream(client, "hello.HelloService/LotsOfReplies")
    stream.on("data", lambda message, _meta: heard.append(message["reply"]))
    stream.on("end", lambda *_: over.set())
    stream.write({"greeting": "handlers"})
    stream.end()
    assert over.wait(10), "the stream did not end"
    client.close()
    assert heard, "no data event came"
    ticker.kill()
    assert ticks > 0, "the hub was blocked"
    print(f"{GREENLETS * CALLS} calls in {time.monotonic() - started:.2f} s, {ticks} ticks, {len(heard)} replies")


if __name__ == "__main__":
    main()
