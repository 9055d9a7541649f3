"""What a peer's GOAWAY frames say (RFC 9113, section 6.8), kept for when the connection ends."""

from __future__ import annotations

from puregrpc.wire.status import http2_error_name

__all__ = ["Farewell"]


class Farewell:
    """The last GOAWAY that said more than that the connection ends in order."""

    __slots__ = ("_last",)

    def __init__(self) -> None:
        self._last = ""

    def heard(self, payload: bytes) -> str:
        """A GOAWAY frame has come: its error code's name, and its debug data as text."""
        code, debug_data = int.from_bytes(payload[4:8], "big"), payload[8:].decode("utf-8", "replace")
        reason = http2_error_name(code)
        if debug_data:
            reason += f": {debug_data}"
        if code or debug_data:
            self._last = reason
        return reason

    def before(self, end: str) -> str:
        """Why the connection ended, ``end``, with what the peer had said before."""
        return f"{end} after GOAWAY {self._last}" if self._last else end
