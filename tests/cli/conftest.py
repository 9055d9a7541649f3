"""A demo server in a thread of its own, and the program run in this process against it."""

from __future__ import annotations

import io
import os
import re
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass

import pytest
import trio

from puregrpc.__main__ import main
from puregrpc.proto import compile as compile_proto
from puregrpc.schema import Registry
from puregrpc.server import Context, Method, Server, Shape
from puregrpc.services.health import HealthService, ServingStatus
from puregrpc.services.hello import HelloService
from puregrpc.services.reflection import ReflectionService

BOUND = 1800.0
"""Longer than a whole run (seconds): a fixture's server lives as long as the session."""


def serve_in_thread(make: Callable[[], Server]) -> Iterator[str]:
    """Serve until the generator is closed; yields the address."""
    started = threading.Event()
    addresses: list[str] = []
    stop: list[Callable[[], None]] = []

    async def run() -> None:
        with trio.move_on_after(BOUND) as scope:
            async with make() as server:
                token = trio.lowlevel.current_trio_token()
                stop.append(lambda: token.run_sync_soon(scope.cancel))
                addresses.extend(server.addresses)
                started.set()
                await trio.sleep_forever()

    thread = threading.Thread(target=trio.run, args=(run,))
    thread.start()
    assert started.wait(60)
    try:
        yield addresses[0]
    finally:
        stop[0]()
        thread.join(20)


def demo() -> Server:
    server = Server("127.0.0.1:0")
    HelloService().add_to(server)
    health = HealthService()
    health.set_status("", ServingStatus.SERVING)
    health.set_status("hello.HelloService", ServingStatus.SERVING)
    health.set_status("tired", ServingStatus.NOT_SERVING)
    health.add_to(server)
    ReflectionService().add_to(server)
    server.add_methods([Method("/test.Fail/Fail", fail), Method("/test.Fail/Late", late, Shape.SERVER_STREAM)])
    return server


async def fail(request: bytes, context: Context) -> bytes:
    context.abort(3, "bad \x1b[31m input", details=details())


async def late(request: bytes, context: Context) -> AsyncIterator[bytes]:
    context.send_initial_metadata({"x-late": "yes"})
    yield b""
    context.abort(7, "too late")


def details() -> bytes:
    registry = Registry()
    for file in compile_proto(["google/rpc/status.proto", "google/rpc/error_details.proto"]):
        registry.add_file(file)
    status = registry.message_class(registry.message("google.rpc.Status"))()
    info = registry.message_class(registry.message("google.rpc.ErrorInfo"))(reason="BAD", domain="a.test")
    status.code = 3  # type: ignore[attr-defined] # a class made at run time
    detail = status.details.add()  # type: ignore[attr-defined] # likewise
    detail.type_url = "type.googleapis.com/google.rpc.ErrorInfo"
    detail.value = info.SerializeToString()
    other = status.details.add()  # type: ignore[attr-defined] # likewise
    other.type_url = "type.googleapis.com/unknown.Type"
    other.value = b"\x08\x01"
    return status.SerializeToString()


@pytest.fixture(scope="session")
def address() -> Iterator[str]:
    yield from serve_in_thread(demo)


@dataclass
class Ran:
    """What a run of the program left behind."""

    status: int
    out: str
    err: str

    def text(self, **names: str) -> str:
        """All of it as one text; values of ``names`` are replaced by the names, times by T."""
        text = f"exit status {self.status}\n---- out\n{self.out}---- err\n{self.err}"
        for name, value in names.items():
            text = text.replace(value, name.upper())
        return re.sub(r"\d+\.\d ms", "T ms", re.sub(r" *\d+\.\dms ", " Tms ", text))


@pytest.fixture
def run(capfdbinary: pytest.CaptureFixture[bytes], monkeypatch: pytest.MonkeyPatch) -> Callable[..., Ran]:
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.delenv("FORCE_COLOR", raising=False)

    def run_main(*arguments: str, stdin: str | None = None) -> Ran:
        monkeypatch.setattr("sys.stdin", io.StringIO(stdin or ""))
        status = main(list(arguments))
        captured = capfdbinary.readouterr()
        return Ran(status, captured.out.decode(), captured.err.decode())

    return run_main


@pytest.fixture
def environment() -> dict[str, str]:
    """For the program as a process of its own."""
    return os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
