"""Tests, run by pytest inside of Pyodide: suite.py FILE..."""

import os
import sys

import pytest

os.chdir("/site")
os.environ["HYPOTHESIS_PROFILE"] = "smoke"
# pytest's plugin for unraisable exceptions collects garbage at the end: long chains of objects that the tests of limits
# leave are more than JavaScript's stack takes there.
without = [f"-pno:{name}" for name in ("cacheprovider", "faulthandler", "unraisableexception")]
int(pytest.main(["-q", *without, "-m", "not slow", *sys.argv[1:]]))
