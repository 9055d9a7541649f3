"""Many connections at once come to who accepts them slowly."""

from __future__ import annotations

import socket
import threading
import time

from puregrpc.fuzz.cases.case import Case, Step
from puregrpc.fuzz.connection.connecting import LinkOptions
from puregrpc.fuzz.connection.running import run_case
from puregrpc.fuzz.connection.target import Target

CONNECTIONS = 12


def test_a_full_queue_of_a_listener_is_waited_for() -> None:
    accepted: list[socket.socket] = []
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(1)
        listener.settimeout(10)

        def accept() -> None:
            for _ in range(CONNECTIONS):
                time.sleep(0.1)
                accepted.append(listener.accept()[0])

        thread = threading.Thread(target=accept)
        thread.start()
        steps = (Step("crowd", code=CONNECTIONS, until="hold"),)
        try:
            run_case(
                Case("frame", "", steps, "any", "connections"),
                Target(LinkOptions("127.0.0.1", listener.getsockname()[1])), deadline=1.0,
            )  # fmt: skip
        finally:
            thread.join(30)
            for each in accepted:
                each.close()
    assert len(accepted) == CONNECTIONS
    assert not thread.is_alive()
