"""Who stands in place of a connection's driver and of a session's owner once there is none."""

from __future__ import annotations

from typing import Any

from puregrpc.wire.connection import Driver, Request, ServerCall

__all__ = ["NO_DRIVER", "NO_OWNER"]


class _NoDriver(Driver):
    """Drives a connection that is over."""

    def on_output(self) -> None:
        pass

    def on_ready(self) -> None:
        pass

    def on_call(self, request: Request) -> ServerCall | None:  # noqa: ARG002
        return None

    def on_going_away(self, reason: str) -> None:
        pass

    def on_closed(self, reason: str) -> None:
        pass


class _NoOwner:
    """Whose a session is that is over, or in a child of `os.fork`: it does not hear of what happens there."""

    def session_lost(self, session: Any, reason: str) -> None:
        pass

    def session_over(self, session: Any) -> None:
        pass

    def on_call(self, session: Any, request: Request) -> ServerCall | None:  # noqa: ARG002
        return None


NO_DRIVER = _NoDriver()
NO_OWNER = _NoOwner()
