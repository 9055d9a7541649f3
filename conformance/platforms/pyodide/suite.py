"""Tests, run by pytest inside of Pyodide: suite.py FILE..."""

import os
import sys

import pytest

os.chdir("/site")
os.environ["HYPOTHESIS_PROFILE"] = "smoke"
int(pytest.main(["-q", "-p", "no:cacheprovider", "-p", "no:faulthandler", "-m", "not slow", *sys.argv[1:]]))
