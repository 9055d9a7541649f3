"""Runs the unit tests of one module, and says of each when it begins and how it ended: a line of JSON each time.

Usage: worker.py MODULE [SKIPPED TEST...]
"""

from __future__ import annotations

import json
import os
import sys
import time
import traceback
import unittest
from collections.abc import Iterator

OUT = os.fdopen(os.dup(1), "w", buffering=1)


def say(**record: object) -> None:
    OUT.write(json.dumps(record) + "\n")
    OUT.flush()


def each_test(suite: unittest.TestSuite) -> Iterator[unittest.TestCase]:
    for test in suite:
        if isinstance(test, unittest.TestSuite):
            yield from each_test(test)
        else:
            yield test


class Result(unittest.TestResult):
    """Says how each test ended."""

    def startTest(self, test: unittest.TestCase) -> None:  # noqa: N802 - unittest's name
        super().startTest(test)
        self.outcome, self.text, self.begun = "passed", "", time.monotonic()
        say(begin=test.id())

    def failed(self, error: object) -> None:
        self.outcome, self.text = "failed", "".join(traceback.format_exception(*error))  # type: ignore[call-overload]

    def addError(self, test: unittest.TestCase, error: object) -> None:  # type: ignore[override]  # noqa: N802
        if not hasattr(self, "outcome"):  # the set-up of a class
            say(begin=test.id())
            say(end=test.id(), outcome="failed", text="".join(traceback.format_exception(*error)), seconds=0)  # type: ignore[call-overload]
        self.failed(error)

    def addFailure(self, test: unittest.TestCase, error: object) -> None:  # type: ignore[override]  # noqa: N802
        self.failed(error)

    def addSubTest(self, test: unittest.TestCase, subtest: object, error: object) -> None:  # type: ignore[override]  # noqa: N802
        if error is not None:
            self.failed(error)

    def addSkip(self, test: unittest.TestCase, reason: str) -> None:  # noqa: N802
        self.outcome, self.text = "skipped", reason

    def stopTest(self, test: unittest.TestCase) -> None:  # noqa: N802
        super().stopTest(test)
        seconds = round(time.monotonic() - self.begun, 2)
        say(end=test.id(), outcome=self.outcome, text=self.text[-6000:], seconds=seconds)


def main() -> None:
    name, *skipped = sys.argv[1:]
    try:
        tests = list(each_test(unittest.defaultTestLoader.loadTestsFromName(name)))
    except BaseException:
        say(broken=traceback.format_exc())
        return
    chosen = unittest.TestSuite(test for test in tests if test.id() not in skipped)
    say(count=len(tests))
    chosen.run(Result())
    say(done=True)


if __name__ == "__main__":
    main()
    OUT.flush()
    os._exit(0)
