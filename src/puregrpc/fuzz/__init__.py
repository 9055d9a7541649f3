"""Hostile input: what a peer may send that no sound one does, what a sound receiver makes of it, and the fuzzer on it.

`Fuzzer` runs against a server (``puregrpc fuzz``); `check` marks checks of the user's own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from puregrpc._on_demand import on_demand

if TYPE_CHECKING:
    from puregrpc.fuzz.engine import Fuzzer as Fuzzer
    from puregrpc.fuzz.engine import Options as Options
    from puregrpc.fuzz.findings import Finding as Finding
    from puregrpc.fuzz.findings import Report as Report
    from puregrpc.fuzz.link import LinkOptions as LinkOptions
    from puregrpc.fuzz.misbehaving import MisbehavingServer as MisbehavingServer
    from puregrpc.fuzz.target import Target as Target
    from puregrpc.fuzz.user_checks import check as check

_MODULES = {
    "Finding": "findings",
    "Fuzzer": "engine",
    "LinkOptions": "link",
    "MisbehavingServer": "misbehaving",
    "Options": "engine",
    "Report": "findings",
    "Target": "target",
    "check": "user_checks",
}

__all__ = [*_MODULES]

__getattr__, __dir__ = on_demand(__name__, _MODULES)
