"""The version of puregrpc-grpc, which is puregrpc's, and its dependency on that one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface


def version(root: str) -> str:
    """puregrpc's version, from its source beside this folder."""
    line = next(
        line
        for line in (Path(root).parent / "src" / "puregrpc" / "_version.py").read_text().splitlines()
        if line.startswith("__version__")
    )
    return line.partition("=")[2].strip().strip("\"'")


class CustomMetadataHook(MetadataHookInterface):
    """Fills in what is dynamic."""

    def update(self, metadata: dict[str, Any]) -> None:
        found = version(self.root)
        metadata["version"] = found
        metadata["dependencies"] = [f"puregrpc=={found}"]
