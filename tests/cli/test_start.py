"""What commands load: nothing that they do not need, since it is what their start-up costs."""

from __future__ import annotations

import subprocess
import sys

import pytest

HELLO = "hello.HelloService/SayHello"
SERVING = ("puregrpc.server", "puregrpc.services.demo", "puregrpc.services.hello", "puregrpc.services.examples")
NEVER = ("puregrpc.trace", "rich", "click.testing", "click.shell_completion", "asyncio", *SERVING)
LOOPS = ("trio", "asyncio", "ssl")
COMPILER = ("puregrpc.proto.compiler", "puregrpc.proto.parse")

PROGRAM = """
import contextlib, io, sys
from puregrpc.__main__ import main
with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit):
    main(sys.argv[1:])
print(*sys.modules)
"""


@pytest.mark.parametrize(
    ("command", "unneeded"),
    [
        ("--version", ("click", "puregrpc.cli", "puregrpc.errors", *LOOPS)),
        ("--help", ("puregrpc.wire", "puregrpc.kernel", "google.protobuf", *LOOPS)),
        ("call --help", ("puregrpc.wire", "puregrpc.kernel", "google.protobuf", *LOOPS)),
        ("compile --help", ("click", "puregrpc.schema", "puregrpc.kernel", *LOOPS)),
        ("list -p ADDRESS", ("google.protobuf", "puregrpc.codec.codec", "puregrpc.proto", *LOOPS)),
        ("describe -p ADDRESS hello.HelloService", (*COMPILER, *LOOPS)),
        ("health -p ADDRESS", LOOPS),
        (f"call -p ADDRESS {HELLO} -d {{}}", COMPILER),
        (f"trace -p ADDRESS {HELLO} -d {{}}", ()),
    ],
)
def test_what_a_command_does_not_load(
    command: str, unneeded: tuple[str, ...], address: str, environment: dict[str, str]
) -> None:
    arguments = command.replace("ADDRESS", address).split()
    ran = subprocess.run(
        [sys.executable, "-c", PROGRAM, *arguments],
        capture_output=True, text=True, env=environment, timeout=60, check=True,
    )  # fmt: skip
    loaded = ran.stdout.split()
    refused = (*(SERVING if "trace" in command else NEVER), *unneeded)
    assert [name for name in loaded if name in refused or name.startswith(tuple(f"{each}." for each in refused))] == []
