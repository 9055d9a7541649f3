"""Arguments that nobody should give: a line says what is wrong, the status is the documented one, and no traceback."""

from __future__ import annotations

from pathlib import Path

import pytest

from puregrpc.__main__ import main

DIGITS = "9" * 20_000
CALL = ["call", "-p", "--proto", "m.proto"]
SOURCE = 'syntax = "proto3"; package h; message M { string s = 1; } service S { rpc R(M) returns (M); }'

WRONG: dict[str, tuple[int, list[str]]] = {
    "a port of many digits": (1, ["list", "-p", f"127.0.0.1:{DIGITS}"]),
    "a port of many digits behind brackets": (1, ["list", "-p", f"[::1]:{DIGITS}"]),
    "a bracket in a target": (1, ["list", "-p", "dns://["]),
    "a bracket in a proxy": (1, ["list", "-p", "--proxy", "http://[", "127.0.0.1:1"]),
    "a port to listen on": (1, ["trace", "--listen", f"127.0.0.1:{DIGITS}", "--to", "127.0.0.1:1"]),
    "users of a stage": (2, ["run", "nothing.py", "--stage", f"1s:{DIGITS}"]),
    "a number of users": (2, ["run", "nothing.py", "--vus", DIGITS]),
    "a folder with a long name": (1, ["compile", "-I", "a" * 5_000, "m.proto"]),
    "a file with a long name": (1, ["list", "--proto", "a" * 5_000]),
    "a link to itself": (1, ["list", "--proto", "loop.proto"]),
    "a folder in place of a file": (1, ["list", "--proto", "folder.proto"]),
    "a source without end": (1, ["list", "--proto", "deep.proto"]),
    "a set that is none": (1, ["list", "--protoset", "deep.proto"]),
    "a capture that is none": (1, ["trace", "--read", "deep.proto"]),
    "a method that is long": (1, ["describe", "--proto", "m.proto", "x" * 100_000]),
    "a width of many digits": (2, ["trace", "--read", "m.proto", "--width", DIGITS]),
    "a request of many digits": (1, [*CALL, "-d", f'{{"s":{DIGITS}}}', "127.0.0.1:1", "h.S/R"]),
    "a request without end": (1, [*CALL, "-d", "[" * 100_000, "127.0.0.1:1", "h.S/R"]),
    "a timeout of many digits": (2, ["call", "-p", "--timeout", f"{DIGITS}x", "127.0.0.1:1", "h.S/R"]),
    "a command that is long": (2, ["a" * 100_000]),
}  # fmt: skip


@pytest.mark.parametrize(("status", "arguments"), WRONG.values(), ids=WRONG.keys())
def test_arguments_that_are_wrong(
    status: int,
    arguments: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "m.proto").write_text(SOURCE)
    (tmp_path / "deep.proto").write_text('syntax = "proto3"; ' + "message A { " * 2_000)
    (tmp_path / "folder.proto").mkdir()
    (tmp_path / "loop.proto").symlink_to("loop.proto")
    assert main(arguments) == status
    told = capfd.readouterr().err
    assert told
    assert "Traceback" not in told
    assert len(max(told.splitlines(), key=len)) < 20_000 if arguments[0] == "compile" else len(told) < 8_000
