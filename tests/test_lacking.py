"""A Python without ssl, ctypes or zlib: what needs none of them works, and what needs one says so."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def run(*command: str) -> str:
    """What a program prints; it must end well."""
    environment = {**os.environ, "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}"}
    result = subprocess.run(
        [sys.executable, *command], env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


@pytest.mark.parametrize("world", ["threads", "asyncio"])
def test_calls_in_a_python_that_lacks_everything(world: str) -> None:
    assert run("-m", "tests.lacking", "ssl,ctypes,zlib", world) == "{'reply': 'hello Bert'}\n[{'reply': 'hello Ada'}]\n"


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
