"""The README's programs run as they stand there."""

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

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT / "src"), "PYTHONUNBUFFERED": "1"}
BOUND = 60


def block_with(text: str) -> str:
    """The one program of the README that has this text in it."""
    (found,) = [block for block in BLOCKS if text in block]
    return str(found)


def run(program: Path, *arguments: str) -> str:
    result = subprocess.run(
        [sys.executable, "-W", "error", program, *arguments],
        cwd=ROOT / "examples", env=ENVIRONMENT, capture_output=True, text=True, timeout=BOUND, check=False,
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


def test_the_script(server: str, tmp_path: Path) -> None:
    program = tmp_path / "script.py"
    program.write_text(block_with("sys.argv[1]"))
    output = run(program, server)
    assert output.startswith('{"reply": "hello Bert"}\n')
    assert "✓ status is OK" in output


@pytest.mark.parametrize(
    ("text", "printed"), [("AsyncClient", "{'reply': 'hello Bert'}\n"), ("open_channel", "b'\\n\\nhello Bert'\n")]
)
def test_the_programs_of_loops(server: str, tmp_path: Path, text: str, printed: str) -> None:
    program = tmp_path / "script.py"
    program.write_text(block_with(text).replace("127.0.0.1:50051", server))
    assert run(program) == printed


def test_the_service_of_fastapi(server: str, tmp_path: Path) -> None:
    drive = """
import asyncio

async def drive():
    async with lifespan(app):
        print(await asyncio.gather(greet("Bert"), greet("Ernie")))

asyncio.run(drive())
"""
    program = tmp_path / "script.py"
    program.write_text(block_with("FastAPI").replace("127.0.0.1:50051", server) + drive)
    assert run(program) == "[{'reply': 'hello Bert'}, {'reply': 'hello Ernie'}]\n"


def test_the_message_classes(tmp_path: Path) -> None:
    program = tmp_path / "script.py"
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


def test_the_server(tmp_path: Path) -> None:
    program = tmp_path / "script.py"
    text = block_with("server.serve()").replace("127.0.0.1:50051", "127.0.0.1:0").replace("examples/", "")
    served = "    await server.serve()\n"
    assert served in text
    started = "    async with server:\n        print(*server.addresses)\n        await asyncio.sleep(1000)\n"
    program.write_text(text.replace(served, started))
    process = subprocess.Popen(
        [sys.executable, program], cwd=ROOT / "examples", env=ENVIRONMENT, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    try:
        address = process.stdout.readline().strip()
        script = tmp_path / "call.py"
        script.write_text(block_with("sys.argv[1]"))
        assert run(script, address).startswith('{"reply": "hello Bert"}\n')
    finally:
        process.kill()
        process.wait(BOUND)
        process.stdout.close()
