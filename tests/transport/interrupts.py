"""A program whose main thread is interrupted by signals while it uses a session of threads.

Arguments: what to do, for how many rounds, and ``plain``, ``tls`` or ``polling``. If it hangs, the stacks are printed.
"""

from __future__ import annotations

import faulthandler
import gc
import os
import random
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from types import FrameType

from puregrpc.errors import LocalProtocolError
from tests.transport.threads import Client, Handle, Server, Stream

LARGE = bytes(600_000)
"""More than a socket takes at once."""


class Interrupt(TimeoutError):  # noqa: N818 - no error
    """What the handler of SIGALRM raises: a time-out of somebody's, and an `OSError`."""


def use(client: Client, seconds: float) -> None:
    """Everything that a caller does, again and again."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        assert client.call(b"a").message == b"a"
        assert client.kernel.run(client.call_awaited(b"b")).message == b"b"
        assert client.call(LARGE).message == LARGE
        handle = Handle(client)
        handle.stream.open().send(b"c")
        assert client.kernel.run(handle.stream.receive()) == b"c"
        handle.stream.cancel()


def is_usable(client: Client) -> None:
    """A call goes through, and nothing is left of those that were interrupted."""
    for _ in range(3):
        call = client.call(b"usable")
        if call.message == b"usable":
            break
    else:
        raise AssertionError(f"no call goes through: {call.status}")
    session = client.session
    until = time.monotonic() + 5
    while (left := left_open(client)) and time.monotonic() < until:
        gc.collect()  # a call that was dropped is cancelled soon
        time.sleep(0.01)
    assert not left, left
    assert client.session is session


def left_open(client: Client) -> str:
    """What is not over."""
    session = client.session
    calls = session.locked(session.connection.snapshot).calls
    parts = calls, session.calls, session.writing.sender, session.reading.leader
    return str(parts) if any(parts) else ""


def raising(client: Client, rounds: int) -> Counter[str]:
    """Exceptions at any moment: SIGALRM by a timer, SIGINT by another thread."""

    def alarm(_number: int, _frame: FrameType | None) -> None:
        raise Interrupt

    signal.signal(signal.SIGALRM, alarm)
    seen: Counter[str] = Counter()
    for n in range(rounds):
        pause = random.uniform(0.0002, 0.01)
        try:
            try:
                if n % 2:
                    signal.setitimer(signal.ITIMER_REAL, pause)
                else:
                    threading.Timer(pause, os.kill, (os.getpid(), signal.SIGINT)).start()
                use(client, 1)
            finally:
                signal.setitimer(signal.ITIMER_REAL, 0)
        except (Interrupt, KeyboardInterrupt) as error:
            seen[type(error).__name__] += 1
        with suppress(KeyboardInterrupt):
            time.sleep(0)
        is_usable(client)
    seen["connections given up"] = len(client.lost)
    return seen


def nested(client: Client, rounds: int) -> Counter[str]:
    """The handler makes calls itself: each ends, with its answer or with an error that says why."""
    seen: Counter[str] = Counter()

    def alarm(_number: int, _frame: FrameType | None) -> None:
        ways: tuple[Callable[[], bytes | None], ...] = (called, lambda: client.kernel.run(streamed()), cancelled)
        for way in ways:
            try:
                seen["answered" if way() == b"nested" else "ended"] += 1
            except LocalProtocolError as error:
                seen["refused" if "interrupted this thread while it" in str(error) else str(error)] += 1

    def called() -> bytes | None:
        return client.call(b"nested").message

    async def streamed() -> bytes | None:
        stream = Stream(client.session, time.monotonic() + 20).open()
        stream.send(b"nested")
        try:
            return await stream.receive()
        finally:
            with suppress(LocalProtocolError):
                stream.cancel()

    def cancelled() -> bytes:
        client.kernel.wish(lambda: None)
        Stream(client.session).open().cancel()
        return b"nested"

    signal.signal(signal.SIGALRM, alarm)
    for _ in range(rounds):
        signal.setitimer(signal.ITIMER_REAL, random.uniform(0.0002, 0.005))
        use(client, 0.006)
    signal.setitimer(signal.ITIMER_REAL, 0)
    is_usable(client)
    seen["connections given up"] = len(client.lost)
    return seen


def main() -> None:
    """Do what the arguments say."""
    what, rounds, kind = sys.argv[1:4]
    seed = int(sys.argv[4]) if len(sys.argv) > 4 else random.randrange(1 << 30)
    print("seed", seed, flush=True)
    random.seed(seed)
    faulthandler.dump_traceback_later(100, exit=True)
    tls = context = None
    if kind == "tls":
        import trustme

        from puregrpc.transport.tls import TlsOptions

        authority = trustme.CA()
        certificate = authority.issue_cert("localhost")
        tls = TlsOptions(
            certificate_chain=certificate.cert_chain_pems[0].bytes(), private_key=certificate.private_key_pem.bytes()
        )
        context = TlsOptions(root_certificates=authority.cert_pem.bytes()).client_context()
    server = Server(tls)
    client = Client(server, context=context, busy_poll=0.0002 if kind == "polling" else 0.0)
    use(client, 0.05)
    seen = {"raising": raising, "nested": nested}[what](client, int(rounds))
    client.close()
    server.close()
    print(dict(seen))


if __name__ == "__main__":
    main()
