"""Builds the playground, a static page: ``python -m playground.build [FOLDER]`` (build/playground).

It takes this project's wheel, what that needs as pure wheels, and Pyodide's npm package; npm gets the latter. Show it
with ``python -m http.server --directory build/playground``; it asks no other place for anything.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

from docs.wire.exercises import EXERCISES

ROOT = Path(__file__).parent.parent
PYODIDE = "pyodide@314.0.7"
PYTHON_OF_PYODIDE = "3.14"
UNNEEDED = ("trio", "attr", "attrs", "outcome", "sniffio", "sortedcontainers", "idna")
"""What puregrpc needs for loops and sockets, which a page has not."""


def pyodide(cache: Path, folder: Path) -> None:
    """Unpack the npm package into a folder; it is fetched once."""
    cache.mkdir(parents=True, exist_ok=True)
    package = cache / f"{PYODIDE.replace('@', '-')}.tgz"
    if not package.exists():
        subprocess.run(["npm", "pack", "--silent", PYODIDE], cwd=cache, check=True, timeout=300)
    with tarfile.open(package) as archive, tempfile.TemporaryDirectory() as unpacked:
        archive.extractall(unpacked, filter="data")
        shutil.copytree(Path(unpacked) / "package", folder, dirs_exist_ok=True)


def site(archive: Path) -> None:
    """The wheels, unpacked, in one zip file."""
    with tempfile.TemporaryDirectory() as work:
        folder = Path(work) / "site"
        subprocess.run(
            [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--only-binary=:all:",
             "--platform", "any", "--implementation", "py", "--abi", "none", "--python-version", PYTHON_OF_PYODIDE,
             "--target", str(folder), _wheel(Path(work))],
            check=True, timeout=300,
        )  # fmt: skip
        shutil.copytree(ROOT / "playground", folder / "playground", ignore=shutil.ignore_patterns("__pycache__"))
        with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as made:
            for file in sorted(folder.rglob("*")):
                parts = file.relative_to(folder).parts
                if file.is_file() and parts[0].split("-")[0] not in UNNEEDED and "__pycache__" not in parts:
                    made.write(file, "/".join(parts))


def _wheel(folder: Path) -> str:
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "--quiet", "--disable-pip-version-check", "--no-deps",
         "--wheel-dir", str(folder), str(ROOT)],
        check=True, timeout=300,
    )  # fmt: skip
    return str(next(folder.glob("puregrpc-*.whl")))


def main() -> None:
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "build" / "playground"
    folder.mkdir(parents=True, exist_ok=True)
    pyodide(ROOT / "build" / "pyodide", folder / "pyodide")
    site(folder / "site.zip")
    shutil.copyfile(ROOT / "playground" / "index.html", folder / "index.html")
    proto = (ROOT / "examples" / "definitions" / "hello.proto").read_text(encoding="utf-8")
    exercises = [
        {"name": each.name, "question": each.question, "hex": each.hexdump(), "proto": proto} for each in EXERCISES
    ]
    (folder / "exercises.json").write_text(json.dumps(exercises), encoding="utf-8")
    print(f"python -m http.server --bind 127.0.0.1 --directory {folder}")


if __name__ == "__main__":
    main()
