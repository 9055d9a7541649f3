"""A program under gevent's patched standard library: greenlets stand in for threads. Run by test_other_threads."""

from gevent import monkey

monkey.patch_all()

import threading  # noqa: E402 - the patching comes first
import time  # noqa: E402
from collections.abc import Callable  # noqa: E402

import gevent  # noqa: E402

from puregrpc.kernel.threads.kernel import is_cooperative  # noqa: E402
from tests.transport.threads import NEVER, SLEEP, Client, Handle, Server, puregrpc_threads  # noqa: E402

GREENLETS = 50
CALLS = 10


class Sends:
    """Counts what is sent."""

    def __init__(self) -> None:
        self.count = 0

    def sent(self, _data: bytes, _time: float) -> None:
        self.count += 1

    def received(self, _data: bytes, _time: float) -> None:
        """Not of interest."""


def lone() -> None:
    """Calls that are alone, whose greenlets read for themselves, and what comes between."""
    server = Server()
    client = Client(server)
    session = client.session

    def takes(function: Callable[[], object]) -> float:
        began = time.monotonic()
        function()
        return time.monotonic() - began

    def code_of_silence(seconds: float) -> int:
        status = client.call(b"", NEVER, seconds).status
        assert status is not None
        return status.code

    for _ in range(CALLS):
        assert client.call(b"hello").message == b"hello"
    large = bytes(3_000_000)  # more than a socket takes while its owner waits
    assert client.call(large).message == large
    assert takes(lambda: code_of_silence(0.1)) < 1
    assert takes(lambda: code_of_silence(1.3)) < 2.5, "a lone call ends at its deadline, if that is later too"

    silent = gevent.spawn(code_of_silence, 60.0)
    gevent.sleep(0.05)
    assert client.call(b"beside").message == b"beside", "a call that waits reads for others"
    assert takes(lambda: code_of_silence(0.1)) < 1
    gevent.get_hub().threadpool.apply(client.call, (b"of another thread",))
    silent.kill()
    assert client.call(b"behind").message == b"behind"
    waiting = [gevent.spawn(code_of_silence, seconds) for seconds in (0.3, 0.1, 0.2)]
    assert takes(lambda: gevent.joinall(waiting, timeout=10)) < 2
    assert [each.value for each in waiting] == [4, 4, 4]
    for _ in range(CALLS):
        with gevent.Timeout(0.01, False):
            client.call(b"", NEVER, 60.0)
        assert client.call(b"patient").message == b"patient"
    assert client.session is session, "a greenlet that gave up broke the connection"

    silent = gevent.spawn(code_of_silence, 60.0)
    gevent.sleep(0.05)
    server.close()
    assert silent.get(timeout=10) == 14, "the end of the connection ends the call that reads"
    client.close()


def main() -> None:
    """Calls of many greenlets at once, while the hub stays responsive, and then their end."""
    assert is_cooperative()
    ticks = 0

    def tick() -> None:
        nonlocal ticks
        while True:
            gevent.sleep(0.005)
            ticks += 1

    ticker = gevent.spawn(tick)
    server = Server()
    sends = Sends()
    client = Client(server, tap=sends)
    assert client.call().message == b"hello"

    def call(name: bytes) -> None:
        for _ in range(CALLS):
            assert client.call(name).message == name
            assert client.kernel.run(client.call_awaited(name)).message == name

    def stream(name: bytes) -> None:
        with Handle(client) as opened:
            for _ in range(CALLS):
                opened.send(name)
                assert client.kernel.run(opened.receive()) == name

    work = [gevent.spawn(call, b"%d" % n) for n in range(GREENLETS)]
    gevent.joinall(work, raise_error=True, timeout=30)
    assert all(greenlet.ready() for greenlet in work)
    assert sends.count < GREENLETS * CALLS, f"{sends.count} sends for {2 * GREENLETS * CALLS} calls"
    work = [gevent.spawn(stream, b"%d" % n) for n in range(GREENLETS)]
    gevent.joinall(work, raise_error=True, timeout=30)
    assert all(greenlet.ready() for greenlet in work)

    session = client.session
    large = bytes(3_000_000)
    assert client.call(large).message == large
    late = client.call(b"", NEVER, 0.1)
    assert late.status is not None
    assert late.status.code == 4
    futures = [client.kernel.start(client.call_awaited(b"0.1", SLEEP)) for _ in range(GREENLETS)]
    assert all(future.result(10).message == b"0.1" for future in futures)

    def give_up() -> None:
        with gevent.Timeout(0.02, False):
            while True:
                call(b"hasty")
                with Handle(client) as opened:
                    client.kernel.run(opened.receive())

    gevent.joinall([gevent.spawn(give_up) for _ in range(GREENLETS)], raise_error=True, timeout=30)
    call(b"patient")
    assert client.session is session, "a greenlet that gave up broke the connection"
    until = time.monotonic() + 5
    while session.connection.open_calls and time.monotonic() < until:
        gevent.sleep(0.01)
    assert not session.connection.open_calls
    names = client.kernel.run(client.kernel.resolve("localhost", 1, time.monotonic() + 20))
    assert names

    client.close()
    server.close()
    assert not puregrpc_threads(), threading.enumerate()
    ticker.kill()
    assert ticks > 10, "the hub was blocked"
    lone()
    assert not puregrpc_threads(), threading.enumerate()
    print("over")


if __name__ == "__main__":
    main()
