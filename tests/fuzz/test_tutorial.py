"""The page about fuzzing does what it says: its commands and blocks are run, and print what it shows."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from tests.fuzz.zoo import ROOT, free_port

PAGE = (ROOT / "docs" / "fuzzing.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


def command(of: str) -> list[str]:
    """The words of the first command that has these, on a free port and with this interpreter."""
    text = next(text for language, text in BLOCKS if language == "sh" and of in text)
    words = shlex.split(text.replace("50071", str(free_port())).replace("python -m", f"{sys.executable} -m"))
    return [sys.executable, "-m", "puregrpc", *words[1:]]


@pytest.mark.slow
def test_the_server_to_try_it_on() -> None:
    shown = next(text for language, text in BLOCKS if not language and text.startswith("MEDIUM"))
    words = command("grpcio_shop {port} division")
    words += ["--level", "schema", "--max-cases", "400"]
    words[words.index("--time") + 1] = "60s"
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 1, done.stdout + done.stderr
    for line in shown.splitlines():
        if "grpcurl" not in line:
            assert line in done.stdout, done.stdout


@pytest.mark.slow
def test_the_check_of_ones_own(tmp_path: Path) -> None:
    file = tmp_path / "checks.py"
    file.write_text(next(text for language, text in BLOCKS if language == "python" and "@check" in text))
    words = [*command("grpcio_shop {port} division"), "--checks", str(file), "--max-cases", "30"]
    words[words.index("--time") + 1] = "60s"
    sound = [word.replace(" division", " sound") for word in words]
    done = subprocess.run(sound, cwd=ROOT, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_requests_for_a_test_of_ones_own(monkeypatch: pytest.MonkeyPatch) -> None:
    block = next(text for language, text in BLOCKS if language == "python" and "given_request" in text)
    monkeypatch.chdir(ROOT / "examples")
    names: dict[str, object] = {}
    exec(compile(block, "docs/fuzzing.md", "exec"), names)
    test = names["test_hello"]
    assert callable(test)
    test()
