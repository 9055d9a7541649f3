"""The README's programs run as they stand there, where the README says that they do."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from puregrpc.proto import compile as compile_proto

if sys.version_info >= (3, 11):
    import tomllib
else:
    tomllib = pytest.importorskip("tomli")

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
(PROTO,) = re.findall(r"```proto\n(.*?)```", README, re.DOTALL)
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT / "src"), "PYTHONUNBUFFERED": "1"}
BOUND = 60


def block_with(text: str) -> str:
    """The one program of the README that has this text in it."""
    (found,) = [block for block in BLOCKS if text in block]
    return str(found)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that has definitions/hello.proto, and nothing else."""
    made = tmp_path_factory.mktemp("readme")
    (made / "definitions").mkdir()
    (made / "definitions" / "hello.proto").write_text(PROTO, encoding="utf-8")
    return made


def run(program: Path, *arguments: str) -> str:
    result = subprocess.run(
        [sys.executable, "-W", "error", program, *arguments],
        cwd=program.parent, env=ENVIRONMENT, capture_output=True, text=True, timeout=BOUND, check=False,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    return result.stdout


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    command = [sys.executable, "-m", "puregrpc", "serve", "--port", "0"]
    process = subprocess.Popen(command, env=ENVIRONMENT, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    with process.stdout:
        yield process.stdout.readline().split()[-1]
        process.send_signal(signal.SIGTERM)
        assert process.wait(BOUND) == 0


def test_the_script(server: str, folder: Path) -> None:
    program = folder / "script.py"
    program.write_text(block_with("sys.argv[1]"))
    output = run(program, server)
    assert output.startswith('{"reply": "hello Bert"}\n')
    assert "✓ status is OK" in output


@pytest.mark.parametrize(
    ("text", "printed"), [("AsyncClient", "{'reply': 'hello Bert'}\n"), ("open_channel", "b'\\n\\nhello Bert'\n")]
)
def test_the_programs_of_loops(server: str, folder: Path, text: str, printed: str) -> None:
    program = folder / "script.py"
    program.write_text(block_with(text).replace("127.0.0.1:50051", server))
    assert run(program) == printed


def test_the_service_of_fastapi(server: str, folder: Path) -> None:
    drive = """
import asyncio

async def drive():
    async with lifespan(app):
        print(await asyncio.gather(greet("Bert"), greet("Ernie")))

asyncio.run(drive())
"""
    program = folder / "script.py"
    program.write_text(block_with("FastAPI").replace("127.0.0.1:50051", server) + drive)
    assert run(program) == "[{'reply': 'hello Bert'}, {'reply': 'hello Ernie'}]\n"


def test_the_message_classes(folder: Path) -> None:
    program = folder / "script.py"
    program.write_text(block_with("SerializeToString())"))
    assert run(program) == "b'\\n\\x04Bert'\n"


@pytest.mark.parametrize(
    "command",
    re.findall(r"^puregrpc ((?:list|describe|call|trace) .*)$", README, re.MULTILINE),
)
def test_the_commands(server: str, command: str) -> None:
    arguments = shlex.split(command.replace("127.0.0.1:50051", server))
    result = subprocess.run(
        [sys.executable, "-m", "puregrpc", *arguments],
        env=ENVIRONMENT, capture_output=True, text=True, timeout=BOUND, check=False,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    assert "HelloService" in result.stdout or "hello Bert" in result.stdout


def test_the_server(folder: Path) -> None:
    program = folder / "script.py"
    text = block_with("server.serve()").replace("127.0.0.1:50052", "127.0.0.1:0")
    served = "    await server.serve()\n"
    assert served in text
    started = "    async with server:\n        print(*server.addresses)\n        await asyncio.sleep(1000)\n"
    program.write_text(text.replace(served, started))
    process = subprocess.Popen(
        [sys.executable, program], cwd=folder, env=ENVIRONMENT, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    try:
        address = process.stdout.readline().strip()
        script = folder / "call.py"
        script.write_text(block_with("sys.argv[1]"))
        assert run(script, address).startswith('{"reply": "hello Bert"}\n')
    finally:
        process.kill()
        process.wait(BOUND)
        process.stdout.close()


def test_the_proto_that_is_shown_is_that_of_the_examples() -> None:
    shown, example = (
        compile_proto(["hello.proto"], sources={"hello.proto": text})[0].to_proto()
        for text in (PROTO, (ROOT / "examples" / "definitions" / "hello.proto").read_text("utf-8"))
    )
    assert shown == example


@pytest.mark.slow
def test_types(tmp_path: Path) -> None:
    """Strict, as users run it, with nothing but the package."""
    for number, block in enumerate(BLOCKS):
        (tmp_path / f"block_{number}.py").write_text(block, encoding="utf-8")
    command = [sys.executable, "-m", "mypy", "--strict", "--cache-dir", str(ROOT / ".mypy_cache" / "readme"), "."]
    environment = ENVIRONMENT | {"MYPYPATH": str(ROOT / "src")}
    result = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    found = [line for line in result.stdout.splitlines() if line.startswith("block_")]
    assert not found, result.stdout


def test_links() -> None:
    """In the repository a link leads to a file beside the README; on a package index, to the repository's own pages."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    (rule,) = settings["tool"]["hatch"]["metadata"]["hooks"]["fancy-pypi-readme"]["substitutions"]
    links = re.findall(r"\]\(([^)]+)\)", README)
    assert links
    for link in links:
        assert link.startswith(("https://", "#")) or (ROOT / link.partition("#")[0]).exists(), link
    published = re.sub(rule["pattern"], rule["replacement"], README)
    home = settings["project"]["urls"]["Homepage"]
    assert all(link.startswith((f"{home}/", "https://")) for link in re.findall(r"\]\(([^)#]+)\)", published))


def test_the_extras_are_named() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    for extra in settings["project"]["optional-dependencies"]:
        assert f"puregrpc[{extra}]" in README
