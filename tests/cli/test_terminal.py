"""On a terminal: colours unless NO_COLOR says no, and requests typed one after another."""

from __future__ import annotations

import os
import pty
import select
import subprocess
import sys
import time
from collections.abc import Callable

import pytest


class Terminal:
    """The program with a terminal as its standard input and outputs."""

    def __init__(self, *arguments: str, **environment: str) -> None:
        self.master, slave = pty.openpty()
        self.seen = b""
        env = {key: value for key, value in os.environ.items() if key not in ("NO_COLOR", "FORCE_COLOR", "CI")}
        env.update(TERM="xterm-256color", COLUMNS="100", **environment)
        command = [sys.executable, "-m", "puregrpc", *arguments]
        self.process = subprocess.Popen(command, stdin=slave, stdout=slave, stderr=slave, env=env)
        os.close(slave)

    def wait_for(self, text: bytes, seconds: float = 30.0) -> None:
        end = time.monotonic() + seconds
        while text not in self.seen:
            if not select.select([self.master], [], [], max(end - time.monotonic(), 0))[0]:
                raise AssertionError(f"{text!r} did not come: {self.seen!r}")
            self._read()

    def _read(self) -> bool:
        try:
            data = os.read(self.master, 4096)
        except OSError:  # Linux says EIO where the other end is closed
            return False
        self.seen += data
        return bool(data)

    def type(self, text: bytes) -> None:
        os.write(self.master, text)

    def end(self) -> int:
        while select.select([self.master], [], [], 30)[0] and self._read():
            pass
        os.close(self.master)
        return self.process.wait(30)


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Terminal]:
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(path for path in sys.path if path))
    return Terminal


def test_colours(terminal: Callable[..., Terminal], address: str) -> None:
    arguments = ("call", "-p", address, "hello.HelloService/SayHello", "-d", '{"greeting": "Bert"}')
    coloured = terminal(*arguments)
    assert coloured.end() == 0
    assert b"\x1b[" in coloured.seen
    assert b'"hello Bert"' in coloured.seen
    plain = terminal(*arguments, NO_COLOR="1")
    assert plain.end() == 0
    assert b"\x1b" not in plain.seen
    assert b'"reply": "hello Bert"' in plain.seen


def test_a_conversation_typed_on_a_terminal(terminal: Callable[..., Terminal], address: str) -> None:
    typed = terminal("call", "-p", address, "hello.HelloService/BidiHello", NO_COLOR="1")
    typed.wait_for(b"Ctrl-D ends the requests")
    typed.type(b'{"greeting": "Bert"}\n')
    typed.wait_for(b"hello Bert")
    typed.type(b'{"greeting":\n')
    typed.type(b' "Ernie"}\n')
    typed.wait_for(b"hello Ernie")
    typed.type(b"\x04")
    assert typed.end() == 0


def test_ctrl_c(terminal: Callable[..., Terminal], address: str) -> None:
    typed = terminal("call", "-p", address, "hello.HelloService/BidiHello")
    typed.wait_for(b"Ctrl-D ends the requests")
    typed.process.send_signal(2)
    assert typed.end() == 130
    assert b"Traceback" not in typed.seen
