"""How a run goes."""

from __future__ import annotations

from dataclasses import dataclass

from puregrpc.fuzz.checks.words import UserCheck
from puregrpc.fuzz.frames.probe import Fields

__all__ = ["LEVELS", "Options", "is_destructive"]

LEVELS = ("schema", "sequence", "header", "frame")
DESTRUCTIVE = (
    "delete", "remove", "drop", "destroy", "purge", "truncate", "wipe", "reset", "shutdown", "terminate", "kill",
    "revoke", "erase", "uninstall", "cancel", "stop", "format", "reboot", "restart", "disable", "transfer", "pay",
    "charge", "refund",
)  # fmt: skip


def is_destructive(name: str) -> bool:
    """Whether a method's name says that it may do harm."""
    words = "".join(f" {c.lower()}" if c.isupper() else c for c in name).replace("_", " ").split()
    return any(word in DESTRUCTIVE for word in words[:2])


@dataclass(slots=True)
class Options:
    """How a run goes. Times are seconds; 0 cases or calls a second are no limit."""

    levels: tuple[str, ...] = LEVELS
    time: float = 60.0
    max_cases: int = 0
    seed: int = 0
    rate: float = 0.0
    deadline: float = 2.0
    authority: str = "localhost"
    scheme: str = "http"
    metadata: Fields = ()
    credentials: Fields = ()
    checks: tuple[UserCheck, ...] = ()
    dictionary: tuple[str, ...] = ()
