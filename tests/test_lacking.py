"""Pythons that lack modules, or an environment: what needs none of it works, and what needs some says so."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ENVIRONMENT = {**os.environ, "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}"}


def run(*command: str) -> str:
    """What a program prints; it must end well."""
    result = subprocess.run(
        [sys.executable, *command], env=ENVIRONMENT, capture_output=True, text=True, timeout=60, check=False
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


ANSWERS = "{'reply': 'hello Bert'}\n[{'reply': 'hello Ada'}]\n"
PRINTED = (
    "hello.HelloService.BidiHello\nhello.HelloService.LotsOfGreetings\nhello.HelloService.LotsOfReplies\n"
    'hello.HelloService.SayHello\n{\n  "reply": "hello noname"\n}\n'
)


@pytest.mark.parametrize(
    "lacking",
    [
        "ssl,ctypes,zlib",
        "_hashlib,_blake2,sqlite3,multiprocessing,readline,bz2,lzma,_uuid,pyexpat,mmap,fcntl,termios,resource,pwd,grp",
        "unicodedata,_decimal,_json,_pickle,_queue",
        pytest.param(
            "_posixsubprocess",
            marks=pytest.mark.skipif(sys.version_info < (3, 11), reason="the uuid of CPython 3.10 needs subprocess"),
        ),
    ],
)
def test_calls_on_threads_and_commands_in_a_python_that_lacks_modules(lacking: str) -> None:
    assert run("-m", "tests.lacking", lacking, "threads") == ANSWERS + PRINTED


@pytest.mark.skipif(os.name != "posix", reason="a process needs some variables")
@pytest.mark.parametrize("environment", [{}, {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}])
def test_calls_and_commands_without_an_environment(environment: dict[str, str]) -> None:
    environment["PYTHONPATH"] = ENVIRONMENT["PYTHONPATH"]
    command = [sys.executable, "-OO", "-m", "tests.lacking", "readline", "threads"]
    result = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert (result.stdout, result.stderr) == (ANSWERS + PRINTED, "")


def test_calls_on_asyncio_in_a_python_that_lacks_modules() -> None:
    assert run("-m", "tests.lacking", "ssl,ctypes,zlib,_hashlib,sqlite3,multiprocessing", "asyncio") == ANSWERS


def test_serving_in_a_python_that_lacks_ssl() -> None:
    program = (
        "from tests.lacking import lack; lack({'ssl', 'ctypes', 'zlib'})\n"
        "from puregrpc.__main__ import main; main(['serve', '--port', '0'])"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program], env=ENVIRONMENT, stdout=subprocess.PIPE, text=True
    ) as server:
        assert server.stdout is not None
        try:
            address = server.stdout.readline().split()[-1]
            assert "hello.HelloService" in run("-m", "puregrpc", "list", "-p", address)
        finally:
            server.terminate()
        assert server.wait(20) == 0


def test_a_command_names_the_module_that_it_lacks() -> None:
    program = (
        "from tests.lacking import lack; lack({'ssl'})\n"
        "from puregrpc.__main__ import main; print(main(['trace', '-p', '127.0.0.1:1', 'a.B/C']))"
    )
    result = subprocess.run(
        [sys.executable, "-c", program], env=ENVIRONMENT, capture_output=True, text=True, timeout=60, check=False
    )
    assert (result.stdout, result.returncode) == ("1\n", 0)
    assert result.stderr == "puregrpc: this needs Python's module ssl, which cannot be imported\n"


@pytest.mark.parametrize(
    ("lacking", "code", "told"),
    [
        (
            "zlib",
            "from puregrpc.wire.compression import coding_for; coding_for('gzip')",
            "no compression 'gzip': there are identity",
        ),
        (
            "zlib",
            "from puregrpc.wire.compression import receiving_coding; receiving_coding('deflate').decompress(b'', 1)",
            "deflate needs Python's module zlib",
        ),
        (
            "zlib",
            "from puregrpc.trace.reading import read_recordings; read_recordings(b'\\x1f\\x8b\\x08', 'a.pcap.gz')",
            "a.pcap.gz: compressed with gzip, which needs Python's module zlib",
        ),
        (
            "ssl",
            "from puregrpc import Client; Client().connect('127.0.0.1:1')",
            "TLS needs Python's module ssl, which cannot be imported",
        ),
        (
            "ssl",
            "from puregrpc.transport.tls import TlsOptions; TlsOptions(certificate_chain=b'').server_context()",
            "TLS needs Python's module ssl, which cannot be imported",
        ),
    ],
)
def test_what_is_missing_is_named(lacking: str, code: str, told: str) -> None:
    program = f"from tests.lacking import lack; lack({{{lacking!r}}})\ntry:\n {code}\nexcept Exception as e: print(e)"
    assert told in run("-c", program)


def test_without_zlib_no_peer_is_told_of_gzip() -> None:
    program = (
        "from tests.lacking import lack; lack({'zlib'})\n"
        "from puregrpc.wire.connection import ConnectionConfig\nprint(ConnectionConfig().accept_encodings)"
    )
    assert "gzip" not in run("-c", program)


@pytest.mark.parametrize("world", ["asyncio", "trio"])
def test_calls_on_a_loop_in_a_python_that_starts_no_threads(world: str) -> None:
    assert run("-m", "tests.lacking", "threads", world) == "{'reply': 'hello Bert'}\n[{'reply': 'hello Ada'}]\n"
