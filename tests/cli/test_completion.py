"""Services and methods, completed in a shell."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from puregrpc.__main__ import main

CALL = "puregrpc call -p ADDRESS "
HELLO = "hello.HelloService/"
METHODS = [HELLO + name for name in ("SayHello", "LotsOfReplies", "LotsOfGreetings", "BidiHello")]


def completed(line: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> list[str]:
    monkeypatch.setenv("COMP_LINE", line)
    monkeypatch.setenv("COMP_POINT", str(len(line.encode())))
    monkeypatch.setenv("_PUREGRPC_COMPLETE", "bash_complete")
    with pytest.raises(SystemExit):
        main([])
    return [text.partition(",")[2] for text in capsys.readouterr().out.split()]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (CALL, ["grpc.health.v1.Health/", "grpc.reflection.v1.ServerReflection/",
                "grpc.reflection.v1alpha.ServerReflection/", HELLO, "test.Fail/"]),
        (CALL + "grpc.r", ["grpc.reflection.v1.ServerReflection/", "grpc.reflection.v1alpha.ServerReflection/"]),
        (CALL + "he", METHODS),
        (CALL + "hello.HelloService/L", METHODS[1:3]),
        (CALL + "nothing", []),
        ("puregrpc trace -p ADDRESS he", METHODS),
        ("puregrpc list -p ADDRESS grpc.h", ["grpc.health.v1.Health"]),
        ("puregrpc health -p ADDRESS he", ["hello.HelloService"]),
        ("puregrpc describe -p http://ADDRESS hello.HelloService/S", METHODS[:1]),
        ("puregrpc call --proto SHOP x:1 ", ["Shop/Buy"]),
        ("puregrpc call --proto /no/such/file x:1 ", []),
        ("puregrpc call -p 127.0.0.1:1 ", []),
        ("puregrpc he", ["health"]),
        ("puregrpc call --proto-o", ["--proto-out-dir"]),
    ],
)  # fmt: skip
def test_completions(
    line: str,
    expected: list[str],
    address: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    (tmp_path / "shop.proto").write_text('syntax = "proto3"; message M {} service Shop { rpc Buy(M) returns (M); }')
    line = line.replace("ADDRESS", address).replace("SHOP", str(tmp_path / "shop.proto"))
    assert sorted(completed(line, monkeypatch, capsys)) == sorted(expected)


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
def test_in_bash(address: str, environment: dict[str, str], tmp_path: Path, run: Callable[..., object]) -> None:
    program = tmp_path / "puregrpc"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m puregrpc "$@"\n')
    program.chmod(0o755)
    script = f"""
    eval "$(puregrpc completion bash)"
    COMP_LINE="puregrpc call -p {address} hello.HelloService/L"
    COMP_POINT=${{#COMP_LINE}}
    complete -p puregrpc >/dev/null || exit 1
    _puregrpc_completion puregrpc
    echo "${{COMPREPLY[@]}}"
    """
    ran = subprocess.run(
        ["bash", "-c", script],
        env=environment | {"PATH": f"{tmp_path}:{environment['PATH']}"},
        capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    assert ran.stdout.split() == METHODS[1:3]
    assert ran.stderr == ""
