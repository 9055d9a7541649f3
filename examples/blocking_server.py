"""A server without an event loop: its handlers are plain functions and generators, run on threads.

``python examples/blocking_server.py [127.0.0.1:50051]``; then, in another terminal, ``python examples/hello.py
127.0.0.1:50051``.
"""

import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from puregrpc import BlockingServer
from puregrpc.schema import Registry, load_files
from puregrpc.server import Context

Message = dict[str, Any]


class Hello:
    """A handler for each method of hello.HelloService; messages are dicts as ProtoJSON has them."""

    def say_hello(self, request: Message, context: Context) -> Message:
        time.sleep(0.01)  # it may block
        return {"reply": f"hello {request['greeting']}"}

    def lots_of_replies(self, request: Message, context: Context) -> Iterator[Message]:
        for _ in range(10):
            yield {"reply": f"hello {request['greeting']}"}

    def lots_of_greetings(self, requests: Iterator[Message], context: Context) -> Message:
        return {"reply": f"hello {', '.join(request['greeting'] for request in requests)}"}

    def bidi_hello(self, requests: Iterator[Message], context: Context) -> Iterator[Message]:
        for request in requests:
            yield {"reply": f"hello {request['greeting']}"}


registry = Registry()
load_files(registry, [Path(__file__).parent / "definitions"], "hello.proto")
server = BlockingServer(sys.argv[1] if len(sys.argv) > 1 else "127.0.0.1:50051")
server.add_service(registry.service("hello.HelloService"), Hello())
signal.signal(signal.SIGTERM, lambda *_: server.stop(grace=30))
print(f"listening on {server.start()[0]}", flush=True)
server.wait_for_termination()
