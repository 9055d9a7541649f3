"""The conversation that the lesson is about: both ends are this program's, and every octet between them is recorded."""

from __future__ import annotations

from collections.abc import Callable

from puregrpc.services.contracts import codec, contract
from puregrpc.trace import Direction, Recorder, Recording
from puregrpc.wire import EngineName, client_connection, server_connection
from puregrpc.wire.connection import Call, ConnectionConfig, Metadata, Request, ServerCall
from puregrpc.wire.status import Status

__all__ = ["Conversation", "lesson_conversation"]

SERVICE = "/hello.HelloService/"
STEP = 0.001
"""Seconds that the octets of one turn take: time is made up, so that the lesson is the same whenever it is made."""

ENGINE: EngineName = "h2"


class _Answer(ServerCall):
    """A call on the server's side: answers each message."""

    def __init__(self, answer: Callable[[_Answer, bytes], None]) -> None:
        super().__init__()
        self.answer = answer

    def on_message(self, message: bytes) -> None:
        self.answer(self, message)


class _Owner:
    """Owns either end."""

    def __init__(self, conversation: Conversation) -> None:
        self.conversation = conversation

    def on_output(self) -> None: ...

    def on_ready(self) -> None: ...

    def on_call(self, request: Request) -> ServerCall | None:
        return _Answer(self.conversation.handlers[request.path.removeprefix(SERVICE)])

    def on_going_away(self, reason: str) -> None: ...

    def on_closed(self, reason: str) -> None: ...


class _Result(Call):
    """A call on the client's side; nobody waits for it."""

    def on_end(self, status: Status, trailers: Metadata, *, unprocessed: bool) -> None: ...


class Conversation:
    """A client and a server back to back; what passes between them is recorded."""

    def __init__(self) -> None:
        config = ConnectionConfig(user_agent="grpc-python-lesson/1.0", accept_encodings=("identity", "gzip"))
        self.client = client_connection(_Owner(self), config, engine=ENGINE)
        self.server = server_connection(_Owner(self), config, engine=ENGINE)
        self.recorder = Recorder("client", "server")
        self.time = 0.0
        self.handlers: dict[str, Callable[[_Answer, bytes], None]] = {
            "SayHello": self._say_hello,
            "LotsOfReplies": self._lots_of_replies,
            "BidiHello": self._refuse,
        }
        hello = contract("hello.proto")
        self.request_type, self.response_type = hello.messages
        self.codec = codec("hello.proto")

    def _reply(self, text: str) -> bytes:
        return self.codec.encode(self.response_type, {"reply": text})

    def _say_hello(self, call: _Answer, message: bytes) -> None:
        greeting = self.codec.decode(self.request_type, message)["greeting"]
        encoding = call.request.encoding
        self.server.send_headers(call, (), encoding=encoding)
        self.server.send_message(call, self._reply(f"hello {greeting}"))
        self.server.send_trailers(call, Status(0), ())

    def _lots_of_replies(self, call: _Answer, message: bytes) -> None:  # noqa: ARG002 - a handler
        self.server.send_headers(call)
        for number in range(3):
            self.server.send_message(call, self._reply(f"hello {number}"))
        # No trailers: the client cancels the call before they come.

    def _refuse(self, call: _Answer, message: bytes) -> None:  # noqa: ARG002 - a handler
        self.server.send_trailers(call, Status(3, "greeting: 50 % of it is missing"), ())

    def start(self) -> None:
        self.client.start(self.time)
        self.server.start(self.time)
        self.settle()

    def settle(self) -> None:
        """Let octets pass until neither side has any."""
        while True:
            quiet = True
            for direction in Direction:
                source, sink = (
                    (self.client, self.server) if direction is Direction.CLIENT else (self.server, self.client)
                )
                data = source.data_to_send()
                if data:
                    self.recorder.record(direction, data, self.time)
                    self.time += STEP
                    sink.receive(data, self.time)
                    quiet = False
            if quiet:
                return

    def call(
        self,
        method: str,
        greeting: str,
        *,
        timeout: float | None = None,
        encoding: str = "identity",
        metadata: Metadata = (),
    ) -> Call:
        """Make a call with one request, up to its end or the server's silence."""
        made = _Result()
        request = Request(
            SERVICE + method, "localhost:50051", metadata, encoding=encoding, accept_encodings=("identity", "gzip")
        )
        self.client.open_call(
            made,
            request,
            deadline=None if timeout is None else self.time + timeout,
            message=self.codec.encode(self.request_type, {"greeting": greeting}),
            end=True,
            now=self.time,
        )
        self.settle()
        return made

    def cancel(self, call: Call) -> None:
        self.client.reset(call)
        self.settle()

    def end(self) -> None:
        self.client.go_away(immediately=True)
        self.settle()

    def recording(self) -> Recording:
        return self.recorder.recording()


def lesson_conversation() -> Recording:
    """Two calls that are alike, one that is compressed, one that fails, one that is cancelled, and the end."""
    made = Conversation()
    made.start()
    made.call("SayHello", "Bert", timeout=0.25, metadata=(("x-lesson", "one"),))
    made.call("SayHello", "Ernie", timeout=0.25, metadata=(("x-lesson", "one"),))
    made.call("SayHello", "Bert " * 20, encoding="gzip")
    made.call("BidiHello", "Bert")
    stream = made.call("LotsOfReplies", "Bert")
    made.cancel(stream)
    made.end()
    return made.recording()
