"""Notices that grpcio's files lie among ours: two distributions that install one package mix."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

__all__ = ["check", "foreign_files"]

HOW_TO_MEND = (
    "uninstall both (pip uninstall grpcio puregrpc-grpc) and install one of them; "
    "python -m puregrpc_grpc doctor says more"
)


def foreign_files(folders: Iterable[str]) -> list[str]:
    """What lies in the package's folders that only grpcio brings: its native core."""
    found: list[str] = []
    for folder in folders:
        try:
            found += [
                str(path)
                for path in (Path(folder) / "_cython").iterdir()
                if path.name.startswith("cygrpc.") and path.suffix in (".so", ".pyd", ".dylib")
            ]
        except OSError:  # not a folder: a zip file
            continue
    return found


def check(folders: Iterable[str]) -> None:
    """Raise ImportError if grpcio was installed over this package, or this over grpcio."""
    found = foreign_files(folders)
    if found:
        raise ImportError(
            f"the package grpc is a mixture of grpcio's files and those of puregrpc-grpc ({found[0]}): {HOW_TO_MEND}"
        )
