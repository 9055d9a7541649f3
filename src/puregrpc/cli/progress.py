"""What ``puregrpc run`` shows while it runs: what it is going to do, then how it goes, on standard error."""

from __future__ import annotations

import logging
import shutil
import sys

from puregrpc.cli.output import is_terminal
from puregrpc.load import Observer, Status
from puregrpc.load.options import Options
from puregrpc.load.reading import duration_text
from puregrpc.metrics.units import format_duration

__all__ = ["Progress"]

QUIET_EVERY = 10
"""Seconds between two lines where no terminal is: a log is not to be filled."""


class Progress(Observer):
    """Writes to standard error: on a terminal a line that changes, else one now and then."""

    def __init__(self, *, quiet: bool) -> None:
        self._quiet = quiet
        self._is_terminal = is_terminal(sys.stderr)
        self._lines = 0
        self._ticks = 0
        self._before = (0.0, 0)

    def wrote(self, record: logging.LogRecord) -> bool:
        """A filter of a log that goes to standard error: what is told from here on stands below it."""
        del record
        self._lines = 0
        return True

    def begins(self, options: Options, script: str) -> None:
        """Say what is going to be done."""
        if self._quiet:
            return
        scenarios = options.scenarios
        users = sum(each.max_users for each in scenarios)
        longest = max(each.longest for each in scenarios)
        number = f"{len(scenarios)} scenario{'s' * (len(scenarios) > 1)}"
        time = "no end" if longest == float("inf") else f"{duration_text(longest)} max duration"
        sys.stderr.write(f"\n     execution: local\n        script: {script}\n\n")
        sys.stderr.write(f"     scenarios: {number}, {users} max VUs, {time} (incl. graceful stop):\n")
        for each in scenarios:
            sys.stderr.write(f"              * {each.name}: {each.text}\n")
        sys.stderr.write("\n")
        sys.stderr.flush()

    def serves(self, address: str) -> None:
        """Say where the page is."""
        sys.stderr.write(f"     web page: {address}\n")
        sys.stderr.flush()

    def goes_on(self, status: Status) -> None:
        """Say how it goes."""
        self._ticks += 1
        if self._quiet or not (self._is_terminal or self._ticks % QUIET_EVERY == 0):
            return
        metrics = status.metrics
        seconds, calls = self._before
        made = metrics["grpc_req_duration"].sink()
        failed = metrics.value("grpc_req_failed", "passes")
        passed = status.seconds - seconds
        rate = (made.count - calls) / passed if passed > 0 else 0.0
        self._before = status.seconds, made.count
        percentile = format_duration(made.value("p(95)", status.seconds))
        lines = [
            f"running ({duration_text(round(status.seconds, 1))}), {status.vus}/{status.max_vus} VUs, "
            f"{status.completed} complete and {status.interrupted} interrupted iterations"
            + (f", {status.dropped} dropped" if status.dropped else ""),
            f"{rate:,.0f} calls/s, p(95)={percentile}, {failed:,.0f} failed",
        ]
        for name, progress, text in status.scenarios:
            bar = "=" * int(progress * 20)
            arrow = ">" if progress < 1 else ""
            lines.append(f"{name} [{(bar + arrow)[:20]:<20}] {progress:4.0%}  {text}")
        if self._is_terminal:
            width = shutil.get_terminal_size().columns - 1  # a line that is cut in two would be counted as one
            sys.stderr.write(f"\x1b[{self._lines}F" if self._lines else "")
            sys.stderr.write("".join(f"\x1b[2K{line[:width]}\n" for line in lines))
            self._lines = len(lines)
        else:
            sys.stderr.write("\n".join(lines[:2]) + "\n")
        sys.stderr.flush()
