"""Starts a server, and Locust with a master and two workers, whose merged figures are read from Locust's own API; then
Locust with ``--processes 2``, which tells them as JSON."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.parse
import urllib.request
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "locustfile.py"
USERS = 20


TALKERS = """
from types import MappingProxyType
from locust import task
from puregrpc.integrations.locust import GrpcUser

class Talker(GrpcUser):
    import_paths = (%r,)
    proto_files = ("hello.proto",)
    connect_params = MappingProxyType({"plaintext": True})
    shares_connection = %r

    @task
    def talk(self):
        stream = self.client.stream("hello.HelloService/BidiHello")
        stream.write({"greeting": "Bert"})
        for _ in stream:
            pass
"""
"""Streams that do not end by themselves."""

ODD = (
    TALKERS
    + """
class Odd(Talker):
    @task
    def talk(self):
        stub = self.client.stub("hello.HelloService")
        assert stub.say_hello(greeting="Bert").message.reply == "hello Bert"
        assert len(list(stub.lots_of_replies(greeting="Bert"))) == 10
        named = self.client.stream("hello.HelloService/LotsOfReplies", {"tags": {"name": "named"}})
        named.write({})
        assert len(list(named)) == 10
        begun = [self.client.async_invoke("hello.HelloService/SayHello", {}) for _ in range(9)]
        assert [each.result().status for each in begun] == [0] * 9
        open_one = self.client.stream("hello.HelloService/BidiHello")
        open_one.on("data", lambda message: None)
        open_one.write({"greeting": "Bert"})
"""
)
"""What else a user may do: stubs, streams with a name and with handlers, calls that it does not wait for."""


def free_port() -> int:
    """A port that nobody has."""
    with socket.socket() as made:
        made.bind(("127.0.0.1", 0))
        port: int = made.getsockname()[1]
        return port


def until(look: Callable[[], object], what: str, seconds: float = 60) -> Any:
    """What ``look`` gives, as soon as that is true."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            found = look()
        except OSError:
            found = None
        if found:
            return found
        time.sleep(0.3)
    raise SystemExit(f"{what}: not within {seconds:g} s")


def main() -> int:
    """See above."""
    environment = {**os.environ, "PYTHONWARNINGS": "ignore"}
    with ExitStack() as stack:

        def start(*command: str) -> subprocess.Popen[str]:
            process = subprocess.Popen(
                command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
            )
            stack.callback(process.wait, 20)
            stack.callback(process.terminate)
            return process

        server = start(sys.executable, "-m", "puregrpc", "serve", "--port", "0")
        assert server.stdout is not None
        target = server.stdout.readline().split()[-1]
        web, bind = free_port(), free_port()
        locust = [sys.executable, "-m", "locust", "-f", str(EXAMPLE)]
        start(*locust, "--master", "--web-host", "127.0.0.1", "--web-port", str(web), "--master-bind-port", str(bind))
        for _ in range(2):
            start(*locust, "--worker", "--master-host", "127.0.0.1", "--master-port", str(bind))
        api = f"http://127.0.0.1:{web}"

        def stats() -> dict[str, Any]:
            with urllib.request.urlopen(f"{api}/stats/requests", timeout=10) as answer:
                found: dict[str, Any] = json.load(answer)
                return found

        until(lambda: len(stats().get("workers", [])) == 2, "two workers")
        form = urllib.parse.urlencode({"user_count": USERS, "spawn_rate": USERS, "host": target}).encode()
        urllib.request.urlopen(f"{api}/swarm", form, timeout=10).close()
        until(lambda: stats()["user_count"] == USERS, f"{USERS} users")
        time.sleep(5)
        judge(f"master and two workers, {USERS} users", stats()["stats"], "avg_content_length")
        forked = [
            *locust,
            "--processes",
            "2",
            "--headless",
            "--json",
            "--exit-code-on-error",
            "0",
            "--host",
            target,
            "--run-time",
            "6s",
        ]
        port = str(free_port())
        ports = ["--master-bind-port", port, "--master-port", port]
        forked += ["--users", str(USERS), "--spawn-rate", str(USERS), *ports]
        told = subprocess.run(
            forked,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            timeout=90,
            check=True,
        ).stdout
        judge(f"--processes 2, {USERS} users", master_told(told), "total_content_length")
        for shares in (False, True):
            script = Path(stack.enter_context(tempfile.TemporaryDirectory())) / "locustfile.py"
            script.write_text(TALKERS % (str(EXAMPLE.parent / "definitions"), shares))
            options = ["--headless", "--users", str(USERS), "--spawn-rate", str(USERS), "--run-time", "3s"]
            subprocess.run(  # it ends with 1 if anything has failed
                [sys.executable, "-m", "locust", "-f", str(script), *options, "--host", target],
                env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=60, check=True,
            )  # fmt: skip
            print(f"{USERS} users, {'one connection' if shares else 'a connection each'}: stopped amid their streams")
            script.write_text(ODD % (str(EXAMPLE.parent / "definitions"), shares))
            options[-1] = "10s"
            odd = subprocess.run(
                [sys.executable, "-m", "locust", "-f", str(script), *options, "--host", target, "--json", "Odd"],
                env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=60, text=True, check=False,
            )  # fmt: skip
            kinds = {(each["method"], each["name"]): each for each in master_told(odd.stdout)}
            wanted = {
                ("grpc", "/hello.HelloService/SayHello"), ("grpc stream", "named"), ("grpc message", "named"),
                ("grpc stream", "/hello.HelloService/LotsOfReplies"), ("grpc message", "/hello.HelloService/BidiHello"),
            }  # fmt: skip
            assert wanted <= kinds.keys(), kinds.keys()
            assert not any(each["num_failures"] for each in kinds.values()), odd.stdout
            assert odd.returncode == 0
            print(f"  stubs, names, handlers, calls without waiting: {sum(e['num_requests'] for e in kinds.values())}")
    return 0


def master_told(text: str) -> list[dict[str, Any]]:
    """The figures in what Locust printed: workers print an empty list each."""
    found: list[dict[str, Any]] = []
    while "[" in text:
        text = text[text.index("[") :]
        part, end = json.JSONDecoder().raw_decode(text)
        found += part
        text = text[end:]
    return found


def judge(what: str, stats: list[dict[str, Any]], length: str) -> None:
    """Look at figures; ``length`` is how those of the answers' lengths are called."""
    found = {(each["method"], each["name"]): each for each in stats}
    calls = found["grpc", "/hello.HelloService/SayHello"]
    streams = found["grpc stream", "/hello.HelloService/LotsOfReplies"]
    messages = found["grpc message", "/hello.HelloService/LotsOfReplies"]
    print(f"{what}: {calls['num_requests']} calls, {streams['num_requests']} streams")
    assert calls["num_requests"] > USERS
    assert calls["num_failures"] == 0
    assert calls[length] > 5
    assert streams["num_requests"] > 0
    assert messages["num_requests"] >= 10 * (streams["num_requests"] - streams["num_failures"])


if __name__ == "__main__":
    sys.exit(main())
