"""Every example runs against the demo server and prints what it should."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
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
        ("async_hello.py", HELLO, SUMMARY),
        ("async_server_stream.py", "hello Bert\n" * 10, ()),
        ("async_client_stream.py", "hello Bert, Ernie, Kermit\n", ()),
        ("async_bidi_stream.py", THREE, ()),
        ("notebook.py", "hello Bert\n['hello Ernie', 'hello Kermit']\nhello Bert\n", ()),
        ("hello.py", HELLO, SUMMARY),
        ("server_stream.py", "hello Bert\n" * 10, ()),
        ("client_stream.py", "hello Bert, Ernie, Kermit\n", ()),
        ("bidi_stream.py", THREE, ("grpc_streams_msgs_received",)),
        ("trio_hello.py", HELLO, SUMMARY),
        ("trio_bidi_stream.py", THREE, ()),
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


def test_the_service_of_fastapi(address: str) -> None:
    command = [sys.executable, "-m", "uvicorn", "--app-dir", str(EXAMPLES), "--port", "0", "fastapi_service:app"]
    environment = {**ENVIRONMENT, "GREETER": address}
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment, cwd="/") as process:
        try:
            assert process.stderr is not None
            said = ""
            while (found := re.search(r"running on (http://[\d.:]+)", said)) is None:
                line = process.stderr.readline()
                assert line, said
                said += line
            service = found[1]
            with ThreadPoolExecutor(10) as threads:
                answers = list(threads.map(lambda _: get(f"{service}/hello/Bert"), range(30)))
            assert answers == [(200, '{"reply":"hello Bert"}')] * 30
            assert get(f"{service}/replies/Ernie") == (200, "hello Ernie\n" * 10)
            process.send_signal(signal.SIGINT)
            _, rest = process.communicate(timeout=20)
            assert "Application shutdown complete" in rest
            assert "Traceback" not in said + rest
        finally:
            process.kill()


def get(url: str) -> tuple[int, str]:
    with urllib.request.urlopen(url, timeout=20) as response:
        return response.status, response.read().decode()


@pytest.mark.skipif(sys.platform == "win32", reason="needs signals")
def test_the_blocking_server() -> None:
    command = [sys.executable, "-W", "error", str(EXAMPLES / "blocking_server.py"), "127.0.0.1:0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=ENVIRONMENT, cwd="/") as process:
        try:
            assert process.stdout is not None
            address = process.stdout.readline().split()[-1]
            assert run("hello.py", address).startswith(HELLO)
            assert run("server_stream.py", address) == "hello Bert\n" * 10
            assert run("client_stream.py", address) == "hello Bert, Ernie, Kermit\n"
            assert run("async_bidi_stream.py", address) == THREE
            process.terminate()
            assert process.wait(20) == 0
        finally:
            process.kill()


def test_demo() -> None:
    printed = run("demo.py")
    assert "the demo server listens on 127.0.0.1:" in printed
    assert HELLO in printed
    assert "✓ status is OK" in printed
