"""Tests, run by pytest inside of Pyodide: suite.py FILE..."""

import gc
import os
import sys
import time
from collections.abc import Generator

import pytest


class WithoutThreads:
    """Tests that start threads have nothing to show here."""

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self) -> Generator[None, object, object]:
        try:
            return (yield)
        except RuntimeError as error:
            if str(error) != "can't start new thread":
                raise
            pytest.skip("there are no threads here")


class WithoutChains:
    """What tests leave of long chains is never freed: one object frees the next, deeper than JavaScript's stack."""

    def pytest_collection_finish(self) -> None:
        """At its first test Hypothesis asks the collector who has its random numbers, which finds nothing frozen."""
        from hypothesis import given
        from hypothesis import strategies as st

        given(st.none())(lambda nothing: None)()

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, object, object]:
        if "chain" not in item.name:
            return (yield)
        gc.disable()
        try:
            return (yield)
        finally:
            gc.freeze()
            gc.enable()


# Here it is the time of day, which says nothing of what a test takes where others are at work.
time.process_time = lambda: 0.0
os.chdir("/site")
os.environ["HYPOTHESIS_PROFILE"] = "smoke"
# pytest's plugin for unraisable exceptions collects garbage at the end: long chains of objects that the tests of limits
# leave are more than JavaScript's stack takes there.
without = [f"-pno:{name}" for name in ("cacheprovider", "faulthandler", "unraisableexception")]
int(pytest.main(["-q", *without, "-m", "not slow", *sys.argv[1:]], plugins=[WithoutThreads(), WithoutChains()]))
