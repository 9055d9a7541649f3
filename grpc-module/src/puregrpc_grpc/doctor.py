"""Which package grpc this Python has, who claims it, and how to mend a mixture."""

from __future__ import annotations

import csv
import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

__all__ = ["Finding", "examine"]

OURS, THEIRS = "puregrpc-grpc", "grpcio"
MEND = (
    f"pip uninstall {THEIRS} {OURS}\n"
    f"pip install {OURS}\n"
    f"To keep pip from bringing {THEIRS} back: python -m puregrpc_grpc stub, and install the wheel that it writes."
)


@dataclass(frozen=True)
class Finding:
    """What is loaded as grpc."""

    location: str | None
    """Where the package is; None if there is none."""
    is_ours: bool
    has_native_core: bool
    """grpcio's files are there."""
    claims: tuple[tuple[str, str, bool], ...]
    """The distributions that claim the package: name, version, and whether they bring files into it."""
    missing: tuple[str, ...] = ()
    """Files of puregrpc-grpc that are gone: uninstalling grpcio from a mixture takes those of the same names along."""

    @property
    def is_mixture(self) -> bool:
        """Files of both are in one package."""
        return self.is_ours and self.has_native_core

    @property
    def is_sound(self) -> bool:
        """``import grpc`` gives puregrpc-grpc, whole."""
        return self.is_ours and not self.has_native_core and not self.missing

    def report(self) -> str:
        """For people."""
        lines = [f"grpc is loaded from: {self.location or 'nowhere: there is no such package'}"]
        for name, version, has_files in self.claims:
            what = "brings files into it" if has_files else "has metadata alone"
            lines.append(f"  claimed by {name} {version}, which {what}")
        if self.is_sound:
            lines.append("It is that of puregrpc-grpc, without native code. All is well.")
        elif self.is_mixture:
            lines += ["It is a MIXTURE of grpcio's files and those of puregrpc-grpc. To mend it:", MEND]
        elif self.missing and not self.has_native_core:
            some = ", ".join(self.missing[:3]) + (" and others" if len(self.missing) > 3 else "")
            lines += [
                f"Files of {OURS} are GONE: {some}. To mend it:",
                f"pip install --force-reinstall --no-deps {OURS}",
            ]
        elif self.location is None:
            lines += ["To have it:", f"pip install {OURS}"]
        else:
            lines += ["It is grpcio's. To have puregrpc-grpc in its place:", MEND]
        return "\n".join(lines)


def examine(path: Sequence[str] | None = None) -> Finding:
    """Look at what ``import grpc`` would give, without importing it; ``path`` in the place of `sys.path`."""
    folder = _folder(path)
    return Finding(
        location=None if folder is None else str(folder),
        is_ours=folder is not None and _has(folder, "_mixture.py"),
        has_native_core=folder is not None and _has_native_core(folder),
        claims=tuple(_claims(path)),
        missing=tuple(_missing(path)),
    )


def _folder(path: Sequence[str] | None) -> Path | None:
    if path is None:
        spec = importlib.util.find_spec("grpc")
    else:
        from importlib.machinery import PathFinder

        spec = PathFinder.find_spec("grpc", list(path))
    if spec is None or not spec.submodule_search_locations:
        return None
    return Path(next(iter(spec.submodule_search_locations)))


def _has(folder: Path, name: str) -> bool:
    if folder.is_dir():
        init = folder / "__init__.py"
        return (folder / name).is_file() and init.is_file() and "_mixture" in init.read_text(errors="replace")
    return True  # in a zip file, where no installer has mixed anything


def _has_native_core(folder: Path) -> bool:
    core = folder / "_cython"
    return core.is_dir() and any(each.suffix in (".so", ".pyd") for each in core.iterdir())


def _missing(path: Sequence[str] | None) -> list[str]:
    """What an installer has noted of this distribution's files, and cannot be found. Nothing if it has noted none."""
    distributions = (
        metadata.distributions(name=OURS) if path is None else metadata.distributions(name=OURS, path=list(path))
    )
    first = next(iter(distributions), None)
    if first is None or not isinstance(location := first.locate_file(""), Path):  # in a zip file
        return []
    return [
        file
        for file in _recorded(first)
        if file.startswith("grpc/") and file.endswith(".py") and not (location / file).is_file()
    ]


def _recorded(distribution: metadata.Distribution) -> list[str]:
    """The files in its RECORD; from Python 3.12 on, `Distribution.files` leaves out those that are gone."""
    return [row[0] for row in csv.reader((distribution.read_text("RECORD") or "").splitlines()) if row]


def _claims(path: Sequence[str] | None) -> list[tuple[str, str, bool]]:
    found = []
    distributions = metadata.distributions() if path is None else metadata.distributions(path=list(path))
    for distribution in distributions:
        name = (distribution.metadata["Name"] or "").lower().replace("_", "-")
        has_files = any(str(file) == "grpc/__init__.py" for file in distribution.files or ())
        if name in (OURS, THEIRS) or has_files:
            found.append((name, distribution.version, has_files))
    return sorted(set(found))
