"""The lab's server, once for all tests, and a client that is connected to it."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import RequestReceived

from puregrpc import Client
from puregrpc.metrics import Metrics
from tests.client.lab import DEFINITIONS, FILES, lab_server


@pytest.fixture(scope="session")
def lab() -> Iterator[str]:
    pytest.importorskip("grpc", reason="grpcio is not installed")
    with lab_server() as address:
        yield address


@pytest.fixture
def loaded() -> Iterator[Client]:
    """A client that knows the schema and has no connection."""
    client = Client(metrics=Metrics(tags={"scenario": "default"}))
    client.load([DEFINITIONS], *FILES[:4])
    yield client
    client.close()


@pytest.fixture
def client(loaded: Client, lab: str) -> Client:
    loaded.connect(lab, plaintext=True)
    return loaded


@contextmanager
def tcp_server(answer: bytes = b"") -> Iterator[str]:
    """A server that accepts, says ``answer`` after it has been told something, and then nothing more."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        accepted: list[socket.socket] = []

        def serve() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                accepted.append(connection)
                if answer and connection.recv(100):
                    connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield f"127.0.0.1:{listener.getsockname()[1]}"
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join(5)
            for connection in accepted:
                connection.close()


def hang(connection: socket.socket) -> None:
    """HTTP/2 that takes every call and ends none: headers for names with Headers, one message too for Count."""
    http2 = H2Connection(H2Configuration(client_side=False))
    http2.initiate_connection()
    connection.sendall(http2.data_to_send())
    while data := connection.recv(65536):
        for event in http2.receive_data(data):
            if not isinstance(event, RequestReceived):
                continue
            path = dict(event.headers)[b":path"]
            if b"Headers" in path or b"Count" in path:
                headers = [(":status", "200"), ("content-type", "application/grpc"), ("x-early", "1")]
                http2.send_headers(event.stream_id, headers)
            if b"Count" in path:
                http2.send_data(event.stream_id, bytes(5))
        connection.sendall(http2.data_to_send())


@pytest.fixture(scope="session")
def hanging() -> Iterator[str]:
    """The address of a server that leaves every call without an end: only the client's deadline ends it."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        accepted: list[socket.socket] = []

        def serve() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                accepted.append(connection)
                threading.Thread(target=hang, args=(connection,), daemon=True).start()

        thread = threading.Thread(target=serve)
        thread.start()
        yield f"127.0.0.1:{listener.getsockname()[1]}"
        listener.shutdown(socket.SHUT_RDWR)
        thread.join(5)
        for connection in accepted:
            connection.close()


def free_address() -> str:
    """An address where nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return f"127.0.0.1:{listener.getsockname()[1]}"
