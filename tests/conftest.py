"""Hypothesis profiles: `quick` for every run, `ci` without chance; `smoke` and `long` by HYPOTHESIS_PROFILE."""

from __future__ import annotations

import os
import signal
import threading
import time

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile("quick", max_examples=50, deadline=None, suppress_health_check=list(HealthCheck))
settings.register_profile("smoke", settings.get_profile("quick"), max_examples=8, derandomize=True)
settings.register_profile("ci", settings.get_profile("quick"), derandomize=True, print_blob=True)
settings.register_profile("long", max_examples=5000, deadline=None, suppress_health_check=list(HealthCheck))
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci" if os.environ.get("CI") else "quick"))

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
