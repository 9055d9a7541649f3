"""Hostile input: what a peer may send that no sound one does, what a sound receiver makes of it, and the fuzzer on it.

`Fuzzer` runs against a server (``puregrpc fuzz``), `MisbehavingServer` is one for tests of clients, and `check` marks
checks of the user's own. In people's own tests: `messages` and `given_request` for Hypothesis, `fuzz_function` with
`Coverage` for a servicer in the same process.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from puregrpc._on_demand import on_demand

if TYPE_CHECKING:
    from puregrpc.fuzz.checks.user_checks import check as check
    from puregrpc.fuzz.connection.connecting import LinkOptions as LinkOptions
    from puregrpc.fuzz.connection.target import Target as Target
    from puregrpc.fuzz.engine.findings import Finding as Finding
    from puregrpc.fuzz.engine.findings import Report as Report
    from puregrpc.fuzz.engine.fuzzer import Fuzzer as Fuzzer
    from puregrpc.fuzz.engine.options import Options as Options
    from puregrpc.fuzz.misbehaving.server import MisbehavingServer as MisbehavingServer
    from puregrpc.fuzz.own_tests.coverage import Coverage as Coverage
    from puregrpc.fuzz.own_tests.coverage import fuzz_function as fuzz_function
    from puregrpc.fuzz.own_tests.strategies import given_request as given_request
    from puregrpc.fuzz.own_tests.strategies import messages as messages

_MODULES = {
    "Coverage": "own_tests.coverage",
    "Finding": "engine.findings",
    "Fuzzer": "engine.fuzzer",
    "LinkOptions": "connection.connecting",
    "MisbehavingServer": "misbehaving.server",
    "Options": "engine.options",
    "Report": "engine.findings",
    "Target": "connection.target",
    "check": "checks.user_checks",
    "fuzz_function": "own_tests.coverage",
    "given_request": "own_tests.strategies",
    "messages": "own_tests.strategies",
}

__all__ = [*_MODULES]

__getattr__, __dir__ = on_demand(__name__, _MODULES)
