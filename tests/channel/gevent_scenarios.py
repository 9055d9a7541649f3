"""Plays the plans that come as JSON on standard input, in threads that are gevent's, and writes their outcomes."""

from __future__ import annotations

from gevent import monkey

monkey.patch_all()

import json  # noqa: E402 - gevent's patches come first
import sys  # noqa: E402

from tests.channel.scenarios import play  # noqa: E402
from tests.worlds import run  # noqa: E402

for plan in json.load(sys.stdin):
    print(repr(run(lambda plan=plan: play(plan), "threads")))  # type: ignore[misc]
