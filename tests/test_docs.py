"""Every program of the pages in docs/ runs as it stands, in a folder with what the pages say is there."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
GENERATED = ("commands.md", "wire/README.md", "wire/answers.md", "wire/exercises.md")
PAGES = [
    name
    for path in sorted(DOCS.rglob("*.md"))
    if (name := path.relative_to(DOCS).as_posix()) not in GENERATED and not name.startswith("reference/")
]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT / "src"), "PYTHONUNBUFFERED": "1"}
LANGUAGES = {"python", "sh", "proto", "", "{toctree}", "{include} ../ARCHITECTURE.md", "{include} ../CHANGELOG.md",
             "{include} ../CONTRIBUTING.md", "{include} ../SECURITY.md"}  # fmt: skip
BOUND = 60


def blocks(page: str, language: str) -> list[str]:
    text = (DOCS / page).read_text(encoding="utf-8")
    return [
        body for name, body in re.findall(r"^```(.*?)\n(.*?)^```$", text, re.DOTALL | re.MULTILINE) if name == language
    ]


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    command = [sys.executable, "-m", "puregrpc", "serve", "--port", "0"]
    with subprocess.Popen(command, env=ENVIRONMENT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield process.stdout.readline().split()[-1]
        process.send_signal(signal.SIGTERM)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """definitions/ as in examples/, and certificates."""
    made = tmp_path_factory.mktemp("docs")
    shutil.copytree(ROOT / "examples" / "definitions", made / "definitions")
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(made / "ca.pem"))
    for name in ("server", "client"):
        certificate = authority.issue_cert("127.0.0.1", "localhost")
        certificate.private_key_pem.write_to_path(str(made / f"{name}.key"))
        (made / f"{name}.pem").write_bytes(b"".join(blob.bytes() for blob in certificate.cert_chain_pems))
    return made


def run(folder: Path, *arguments: str) -> str:
    ran = subprocess.run(
        [sys.executable, *arguments],
        cwd=folder, env=ENVIRONMENT, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=BOUND,
        check=False,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page, "python")])
def test_programs(page: str, server: str, folder: Path) -> None:
    """The programs of a page, one after another, as one; what they print is what the page says, if it does."""
    program = folder / f"{page.replace('/', '_')}.py"
    text = "\n".join(blocks(page, "python"))
    program.write_text(re.sub(r"(127\.0\.0\.1|localhost):50051", server, text), encoding="utf-8")
    printed = run(folder, str(program))
    if page == "tutorial.md":
        assert printed == "".join(blocks(page, ""))


COMMANDS = [
    (page, line)
    for page in PAGES
    for block in blocks(page, "sh")
    for line in block.splitlines()
    if line.startswith("puregrpc ") and " serve" not in line
]


@pytest.mark.parametrize(("page", "line"), COMMANDS)
def test_commands(page: str, line: str, server: str, folder: Path) -> None:
    arguments = shlex.split(line.replace("127.0.0.1:50051", server), comments=True)[1:]
    run(folder, "-m", "puregrpc", *arguments)


def test_no_block_is_left_out() -> None:
    """Blocks are in a language that is tried here, or in none: then they show output, or what cannot be tried."""
    for page in PAGES:
        text = (DOCS / page).read_text(encoding="utf-8")
        opened = re.findall(r"^```(.+)$", text, re.MULTILINE)
        assert set(opened) <= LANGUAGES, page
