"""The generated pages of docs/ are what this program would write now."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from docs.wire.exercises import EXERCISES
from docs.wire.generate import pages
from tests.cli.conftest import Ran
from tests.trace.conversations import assert_every_octet_is_explained

from puregrpc.trace import explain
from puregrpc.trace.reading import read_recordings


def test_the_pages_are_current() -> None:
    stale = [path.name for path, text in pages() if path.read_text(encoding="utf-8") != text]
    assert not stale, "run python -m docs.wire.generate"


def test_the_exercises_can_be_read() -> None:
    for exercise in EXERCISES:
        (recording,) = read_recordings(exercise.hexdump().encode())
        assert [(chunk.direction, chunk.data) for chunk in recording.chunks] == [
            (direction, data) for direction, data in joined(exercise.octets)
        ]
        assert_every_octet_is_explained(explain(recording))


def test_the_exercises_run_from_where_they_say(run: Callable[..., Ran], monkeypatch: pytest.MonkeyPatch) -> None:
    folder = Path(__file__).parents[2] / "docs" / "wire"
    page = (folder / "exercises.md").read_text("utf-8")
    (command,) = re.findall(r"```sh\npuregrpc (.*)\n```", page)
    files = re.findall(r"\]\((exercises/[^)]+)\)", page)
    assert len(files) == len(EXERCISES)
    monkeypatch.chdir(folder)
    for file in files:
        ran = run(*command.replace(f"exercises/{EXERCISES[0].name}.hex", file).split())
        assert (ran.status, ran.err) == (0, "")
        assert "HEADERS" in ran.out


def joined(turns: tuple[tuple[object, bytes], ...]) -> list[tuple[object, bytes]]:
    found: list[tuple[object, bytes]] = []
    for direction, data in turns:
        if found and found[-1][0] is direction:
            found[-1] = (direction, found[-1][1] + data)
        else:
            found.append((direction, data))
    return found
