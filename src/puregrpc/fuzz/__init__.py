"""Hostile input: what a peer may send that no sound one does, what a sound receiver makes of it, and the fuzzer on it.

`Fuzzer` runs against a server (``puregrpc fuzz``), `MisbehavingServer` is one for tests of clients, and `check` marks
checks of the user's own. In people's own tests: `messages` and `given_request` for Hypothesis, `fuzz_function` with
`Coverage` for a servicer in the same process.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from puregrpc._on_demand import on_demand

if TYPE_CHECKING:
    from puregrpc.fuzz.connecting import LinkOptions as LinkOptions
    from puregrpc.fuzz.coverage import Coverage as Coverage
    from puregrpc.fuzz.coverage import fuzz_function as fuzz_function
    from puregrpc.fuzz.engine import Fuzzer as Fuzzer
    from puregrpc.fuzz.findings import Finding as Finding
    from puregrpc.fuzz.findings import Report as Report
    from puregrpc.fuzz.misbehaving import MisbehavingServer as MisbehavingServer
    from puregrpc.fuzz.options import Options as Options
    from puregrpc.fuzz.strategies import given_request as given_request
    from puregrpc.fuzz.strategies import messages as messages
    from puregrpc.fuzz.target import Target as Target
    from puregrpc.fuzz.user_checks import check as check

_MODULES = {
    "Coverage": "coverage",
    "Finding": "findings",
    "Fuzzer": "engine",
    "LinkOptions": "link",
    "MisbehavingServer": "misbehaving",
    "Options": "options",
    "Report": "findings",
    "Target": "target",
    "check": "user_checks",
    "fuzz_function": "coverage",
    "given_request": "strategies",
    "messages": "strategies",
}

__all__ = [*_MODULES]

__getattr__, __dir__ = on_demand(__name__, _MODULES)
