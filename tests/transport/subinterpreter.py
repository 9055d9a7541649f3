"""A program that uses sessions of threads in an interpreter beside the main one, where threads cannot be daemons.

Arguments: ``close``, or ``leave`` for whoever never closes anything. Run by test_other_threads.
"""

from __future__ import annotations

import sys

from tests.subinterpreters import run_isolated

CODE = """
import _thread
import threading
from tests.transport.threads import Client, Server, Stream

assert not _thread.daemon_threads_allowed()
server = Server()
client = Client(server)
assert client.call(b"a").message == b"a"
assert client.kernel.start(client.call_awaited(b"b")).result(5).message == b"b"
stream = Stream(client.session).open()
stream.send(b"c")
assert client.kernel.run(stream.receive()) == b"c"
assert len(threading.enumerate()) > 4
if {close!r}:
    client.close()
    server.close()
    assert len(threading.enumerate()) == 1
"""

if __name__ == "__main__":
    run_isolated(CODE.format(close=sys.argv[1] == "close"))
    print("over")
