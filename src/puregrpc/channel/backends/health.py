"""Client-side health checking (gRFC A17): a connection is used only while its server says that it serves."""

from __future__ import annotations

from collections.abc import Callable

from puregrpc.channel.backends.backoff import Backoff
from puregrpc.errors import DecodeError
from puregrpc.transport import ClientSession
from puregrpc.wire.connection import Call, Metadata, Request
from puregrpc.wire.status import Status, StatusCode

__all__ = ["HealthCheck", "HealthWatch", "health_request", "serving_status"]

WATCH = "/grpc.health.v1.Health/Watch"

MAX_DEPTH = 100
"""How deep groups among unknown fields may be nested."""

STATUS_TAG = 0x08
SERVING = b"\x08\x01"
"""A grpc.health.v1.HealthCheckResponse whose only field, ``status``, is SERVING."""


def health_request(service: str) -> bytes:
    """A grpc.health.v1.HealthCheckRequest."""
    name = service.encode()
    length, octets = len(name), b""
    while length > 0x7F:
        octets += bytes((length & 0x7F | 0x80,))
        length >>= 7
    return b"\x0a" + octets + bytes((length,)) + name if name else b""


def serving_status(message: bytes) -> int:
    """The ``status`` of a grpc.health.v1.HealthCheckResponse. Raises DecodeError if the message is none.

    As protobuf has it: the last one counts, fields that are not known are passed over, and any number may come.
    """
    if message == SERVING:  # without the codec
        return 1
    from puregrpc.codec.faults import FAULTS, fault_of
    from puregrpc.codec.wire_format.tags_and_varints import read_fields

    status = 0
    try:
        for tag, value, _ in read_fields(message, 0, len(message), MAX_DEPTH):
            if tag == STATUS_TAG:
                status = (value & 0xFFFFFFFF ^ 0x80000000) - 0x80000000
    except FAULTS as error:
        raise DecodeError("message", f"not a grpc.health.v1.HealthCheckResponse: {fault_of(error).problem}") from None
    return status


class HealthCheck:
    """What is asked for: the health of a service, by its full name; empty: of the server as a whole."""

    __slots__ = ("request", "request_message", "service")

    def __init__(self, service: str, authority: str) -> None:
        self.service = service
        self.request = Request(WATCH, authority)
        self.request_message = health_request(service)


class HealthWatch(Call):
    """Asks one connection for the health of its server, and again after a pause if the answers end; `stop` ends it.

    ``tell`` hears None when the server serves, or else why it does not. A server without a health service serves.
    All of it but the pause runs with the mutex held.
    """

    __slots__ = ("_backoff", "_check", "_is_stopped", "_session", "_tell")

    def __init__(self, check: HealthCheck, session: ClientSession, tell: Callable[[str | None], None]) -> None:
        super().__init__()
        self._check = check
        self._session = session
        self._tell = tell
        self._backoff = Backoff()
        self._is_stopped = False

    def start(self) -> None:
        """Ask; the answers come as they come."""
        Call.__init__(self)
        session = self._session
        session.opened(self, None)
        session.connection.open_call(
            self, self._check.request, message=self._check.request_message, end=True, now=session.kernel.now()
        )
        session.calls_started += 1

    def stop(self) -> None:
        """Ask no more. Idempotent."""
        self._is_stopped = True
        self._session.calls_failed += self.wire_state is not None
        self._session.connection.reset(self)
        self._session.over(self)

    def on_message(self, message: bytes) -> None:
        self._backoff.reset()
        try:
            serves = serving_status(message) == 1
        except DecodeError as error:
            self._tell(f"the server's health cannot be read: {error}")
            return
        self._tell(None if serves else f"the server does not serve {self._check.service or 'now'}")

    def on_end(self, status: Status, trailers: Metadata, *, unprocessed: bool) -> None:  # noqa: ARG002 - every end is one
        self._session.over(self)
        self._session.calls_failed += bool(status.code)
        if self._is_stopped or self._session.connection.is_closed:
            return
        if status.code == StatusCode.UNIMPLEMENTED:
            self._tell(None)
            return
        self._tell(f"the watch of the server's health ended with {status.name}: {status.message}")
        self._session.kernel.spawn(self._start_again)

    async def _start_again(self) -> None:
        session = self._session
        await session.kernel.sleep(session.kernel.now() + self._backoff.next_pause())
        session.locked(self._ask_again)
        session.push()

    def _ask_again(self) -> None:
        if not self._is_stopped and not self._session.is_going_away:
            self.start()
