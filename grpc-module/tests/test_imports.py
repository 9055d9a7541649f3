"""What the package takes from puregrpc, and what importing it brings."""

from __future__ import annotations

import ast
import subprocess
import sys
from importlib import import_module
from pathlib import Path

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
