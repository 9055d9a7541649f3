"""Every example runs against the demo server and prints what it should."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"
SOURCE = Path(__file__).parents[2] / "src"

ENVIRONMENT = {**os.environ, "PYTHONPATH": str(SOURCE), "PYTHONIOENCODING": "utf-8", "PYTHONUTF8": "1"}


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    serve = [sys.executable, "-m", "puregrpc", "serve", "--port", "0"]
    with subprocess.Popen(serve, stdout=subprocess.PIPE, text=True, env=ENVIRONMENT) as server:
        assert server.stdout is not None
        yield server.stdout.readline().strip().rpartition(" ")[2]
        server.terminate()


def run(script: str, *arguments: str) -> str:
    command = [sys.executable, "-W", "error", str(EXAMPLES / script), *arguments]
    done = subprocess.run(
        command, check=False, capture_output=True, encoding="utf-8", timeout=60, env=ENVIRONMENT, cwd="/"
    )
    assert done.returncode == 0, done.stderr
    assert not done.stderr
    return done.stdout


HELLO = '{"reply": "hello Bert"}\n'
THREE = "hello Bert\nhello Ernie\nhello Kermit\n"
FEATURE = '{"name": "Berry valley farm", "location": {"latitude": 410248224, "longitude": -747127767}}\n'
SUMMARY = ("✓ status is OK", "checks_succeeded...: 100.00% 1 out of 1", "grpc_req_duration")


@pytest.mark.parametrize(
    ("script", "beginning", "parts"),
    [
        ("hello.py", HELLO, SUMMARY),
        ("server_stream.py", "hello Bert\n" * 10, ()),
        ("client_stream.py", "hello Bert, Ernie, Kermit\n", ()),
        ("bidi_stream.py", THREE, ("grpc_streams_msgs_received",)),
        ("async_hello.py", HELLO, SUMMARY),
        ("async_server_stream.py", "hello Bert\n" * 10, ()),
        ("async_client_stream.py", "hello Bert, Ernie, Kermit\n", ()),
        ("async_bidi_stream.py", THREE, ()),
        ("k6/unary.py", FEATURE, ("✓ 'p(95)<1000'", "checks_succeeded...: 100.00% 1 out of 1")),
        ("k6/reflection.py", FEATURE, ()),
        ("k6/health_check.py", "SERVING True\n", ()),
        (
            "k6/server_streaming.py",
            'Found feature called "',
            ('"Berry valley farm" at 41.0248224, -74.7127767', "All done"),
        ),
        ("k6/client_streaming.py", "Visiting ", ("Finished trip with 5 points, 5 features", "All done")),
        ("k6/bidirectional_streaming.py", "Got message 'First message'", ("Got message 'Third message'",)),
    ],
)
def test_example(address: str, script: str, beginning: str, parts: tuple[str, ...]) -> None:
    printed = run(script, address)
    assert printed.startswith(beginning)
    for part in parts:
        assert part in printed


def test_demo() -> None:
    printed = run("demo.py")
    assert "the demo server listens on 127.0.0.1:" in printed
    assert HELLO in printed
    assert "✓ status is OK" in printed
