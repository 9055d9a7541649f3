"""Retrying calls that failed (gRFC A6): by a policy, and without one where the server never began the call."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from puregrpc.channel.service_config.policies import RetryPolicy, RetryThrottling
from puregrpc.wire.connection import Metadata, Request
from puregrpc.wire.status import Status

__all__ = [
    "PREVIOUS_ATTEMPTS",
    "REPLAY_LIMIT",
    "Attempts",
    "RetryThrottle",
    "TransparentRetries",
    "after_attempts",
    "pushback_of",
]

MAX_UNSENT = 10
"""How often a call that never left this side is tried again at once. A6 sets no limit; a server that ends connection
after connection without taking a call must not keep the channel busy for ever."""

REPLAY_LIMIT = 256 << 10
"""Octets of requests kept to be sent again: as much as grpc-go's and grpcio's calls keep. With more, there is no retry
any more."""

PREVIOUS_ATTEMPTS = "grpc-previous-rpc-attempts"
PUSHBACK = "grpc-retry-pushback-ms"


class RetryThrottle:
    """The bucket of one channel. Without `RetryThrottling` it is never empty."""

    def __init__(self, throttling: RetryThrottling | None = None) -> None:
        self._throttling = throttling
        self.tokens = 0.0 if throttling is None else throttling.max_tokens

    @property
    def is_open(self) -> bool:
        """Whether another attempt is allowed."""
        throttling = self._throttling
        return throttling is None or self.tokens > throttling.max_tokens / 2

    def failed(self) -> bool:
        """Count a failure. True if another attempt is still allowed."""
        if self._throttling is not None:
            self.tokens = max(self.tokens - 1, 0)
        return self.is_open

    def succeeded(self) -> None:
        """Count a success."""
        throttling = self._throttling
        if throttling is not None:
            self.tokens = min(self.tokens + throttling.token_ratio, throttling.max_tokens)


class TransparentRetries:
    """Which attempts of a call are made again at once, whatever its policy: those that the server did not begin."""

    __slots__ = ("_unprocessed", "_unsent")

    def __init__(self) -> None:
        self._unprocessed = False
        self._unsent = 0

    def allow(self, *, sent: bool) -> bool:
        """Whether an attempt that the server did not begin is made again; ``sent`` False: it never left this side."""
        if sent:
            allowed, self._unprocessed = not self._unprocessed, True
            return allowed
        self._unsent += 1
        return self._unsent <= MAX_UNSENT


class Attempts(TransparentRetries):
    """What has been tried of one call, and what may be tried again."""

    __slots__ = ("_since_pushback", "_throttle", "policy", "retries")

    def __init__(self, policy: RetryPolicy | None, throttle: RetryThrottle) -> None:
        super().__init__()
        self.policy = policy
        self.retries = 0
        """By the policy; the server is told of these."""
        self._throttle = throttle
        self._since_pushback = 0

    def next_pause(
        self,
        status: Status,
        trailers: Metadata,
        *,
        committed: bool,
        unprocessed: bool = False,
        sent: bool = True,
        time_left: float | None = None,
    ) -> float | None:
        """How long to wait before the next attempt, after one that ended with ``status``; None: that was the last.

        ``unprocessed``: the server is known not to have begun it; ``sent`` False: it never left this side.
        ``time_left`` is what the deadline leaves, in seconds.
        """
        if unprocessed and not committed and self.allow(sent=sent):  # "Transparent Retries"
            return 0.0
        policy = self.policy
        if policy is None:
            return None
        if not status.code:
            self._throttle.succeeded()
            return None
        pushback = pushback_of(trailers)
        refused = pushback is not None and pushback < 0
        if not policy.covers(status.code) and not refused:
            return None
        if not self._throttle.failed() or refused or committed or self.retries + 1 >= policy.attempts:
            return None
        pause = policy.pause(self._since_pushback) if pushback is None else pushback
        if time_left is not None and pause >= time_left:
            return None
        self._since_pushback = self._since_pushback + 1 if pushback is None else 0
        self.retries += 1
        return pause

    def request(self, request: Request) -> Request:
        """The head of the next attempt."""
        return after_attempts(request, self.retries)


def after_attempts(request: Request, attempts: int) -> Request:
    """The head of an attempt that others went before, which it tells the server."""
    if not attempts:
        return request
    return replace(request, metadata=(*request.metadata, (PREVIOUS_ATTEMPTS, str(attempts))))


def pushback_of(trailers: Iterable[tuple[str, str | bytes]] | Metadata) -> float | None:
    """What the server says about retrying: seconds to wait, -1 for not to retry, None if it says nothing."""
    for name, value in trailers:
        if name == PUSHBACK:
            text = value if isinstance(value, str) else ""
            if text.isascii() and text.isdigit() and len(text) < 10:
                return int(text) / 1000
            return -1.0
    return None
