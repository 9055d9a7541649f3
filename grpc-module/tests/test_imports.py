"""What the package takes from puregrpc, and what importing it brings."""

from __future__ import annotations

import ast
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

import grpc

SOURCE = Path(__file__).parents[1] / "src"
ROOMS = {"puregrpc", "puregrpc.channel", "puregrpc.server", "puregrpc.services"}
FILES = sorted(SOURCE.rglob("*.py"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_only_public_names_of_puregrpc_are_used(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            assert not any(name.name.startswith("puregrpc.") for name in node.names)
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "puregrpc":
            assert node.module in ROOMS
            public = set(import_module(node.module).__all__)
            assert {name.name for name in node.names} <= public, f"{path}:{node.lineno}"


def test_all_that_is_said_to_be_public_is_there() -> None:
    assert [name for name in grpc.__all__ if not hasattr(grpc, name)] == []


def run(code: str) -> str:
    environment = {"PYTHONPATH": ":".join(sys.path)}
    command = [sys.executable, "-W", "error", "-c", code]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=True, timeout=60).stdout


def test_importing_it_loads_neither_a_channel_nor_asyncio() -> None:
    names = ("asyncio", "trio", "ssl", "puregrpc.channel")
    code = f"import grpc, sys; print([name for name in {names} if name in sys.modules])"
    assert run(code) == "[]\n"


def test_experimental_is_there_without_being_imported() -> None:
    assert run("import grpc; print(grpc.experimental.unary_unary.__name__)") == "unary_unary\n"


def test_the_version_is_one_that_generated_code_of_grpcio_takes() -> None:
    from grpc._utilities import first_version_is_lower

    assert not first_version_is_lower(grpc.__version__, "1.85.1")
    assert first_version_is_lower(grpc.__version__, "1.999.0")
    assert first_version_is_lower("1.60.1", "1.60.1.dev0")
    assert not first_version_is_lower("1.60.x", "1.60.1")


def test_experimental_functions_warn_once() -> None:
    from grpc import experimental

    @experimental.experimental_api
    def tried_in_a_test() -> int:
        return 1

    with pytest.warns(experimental.ExperimentalApiWarning, match="'tried_in_a_test' is an experimental API") as seen:
        assert tried_in_a_test() + tried_in_a_test() == 2
    assert len(seen) == 1


def test_private_names_that_programs_ask_for() -> None:
    from grpc import _common, _server
    from grpc._cython import cygrpc

    assert _common.STATUS_CODE_TO_CYGRPC_STATUS_CODE[grpc.StatusCode.ABORTED] == 10
    assert _common.CYGRPC_STATUS_CODE_TO_STATUS_CODE[5] is grpc.StatusCode.NOT_FOUND
    core: Any = cygrpc
    assert (core.StatusCode.ok, core.ConnectivityState.ready, core.CompressionAlgorithm.gzip) == (0, 2, 2)
    assert _server._HandlerCallDetails("/a.B/C", ()).method == "/a.B/C"
    with grpc.insecure_channel("127.0.0.1:1") as channel:
        call = channel.unary_stream("/a.B/C", str.encode, bytes.decode)
        found = (call._method, call._request_serializer, call._response_deserializer)
        assert found == (b"/a.B/C", str.encode, bytes.decode)
