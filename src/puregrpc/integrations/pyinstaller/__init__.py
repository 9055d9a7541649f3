"""PyInstaller's hook, which PyInstaller finds by the entry point ``pyinstaller40``."""

from __future__ import annotations

from pathlib import Path

__all__ = ["get_hook_dirs"]


def get_hook_dirs() -> list[str]:
    """Where PyInstaller finds the hook."""
    return [str(Path(__file__).parent)]
