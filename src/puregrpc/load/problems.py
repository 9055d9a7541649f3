"""What ends a load run early, and the exit statuses that go with it, which are k6's."""

from __future__ import annotations

from puregrpc.errors import Error

__all__ = ["Abort", "ExitStatus", "LoadError", "aborted_text"]


class ExitStatus:
    """The exit statuses of ``puregrpc run``, as k6 has them."""

    OK = 0
    THRESHOLDS = 99
    """A threshold was crossed."""
    SETUP_TIMEOUT = 100
    """``init`` or ``setup`` took longer than ``setup_timeout``."""
    TEARDOWN_TIMEOUT = 101
    """``teardown`` took longer than ``teardown_timeout``."""
    WORKER = 103
    """A worker process died: what the others did is told."""
    INVALID = 104
    """Options, thresholds or arguments that cannot be."""
    INTERRUPTED = 105
    """SIGINT or SIGTERM."""
    SCRIPT = 107
    """The script raised while it was read, or in ``init``, ``setup`` or ``teardown``."""
    ABORTED = 108
    """The script called `abort`."""
    FAILED = 110
    """The script called ``test.fail``."""
    NO_SCRIPT = 255
    """There is no such script, or nothing in it to run."""


class LoadError(Error):
    """A load run cannot begin. ``exit_status`` is that of ``puregrpc run``."""

    def __init__(self, message: str, exit_status: int = ExitStatus.INVALID) -> None:
        super().__init__(message)
        self.exit_status = exit_status


class Abort(BaseException):
    """What `abort` raises. No Exception, so that no script's ``except Exception`` takes it for a fault."""


def aborted_text(reason: str) -> str:
    """How it is told that the script ended the run."""
    return f"the script aborted the run{f': {reason}' if reason else ''}"
