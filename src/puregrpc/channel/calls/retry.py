"""Retrying calls that failed (gRFC A6): by a policy, and without one where the server never began the call."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from random import uniform

from puregrpc.errors import InvalidArgument
from puregrpc.wire.connection import Metadata, Request
from puregrpc.wire.status import Status, StatusCode

__all__ = [
    "PREVIOUS_ATTEMPTS",
    "REPLAY_LIMIT",
    "Attempts",
    "RetryPolicy",
    "RetryThrottle",
    "RetryThrottling",
    "pushback_of",
]

MAX_ATTEMPTS = 5
"""More is taken as this (gRFC A6, "Maximum Number of Retries")."""

MAX_UNSENT = 10
"""How often a call that never left this side is tried again at once. A6 sets no limit; a server that ends connection
after connection without taking a call must not keep the channel busy for ever."""

REPLAY_LIMIT = 256 << 10
"""Octets of requests kept to be sent again: as much as grpc-go's and grpcio's calls keep. With more, there is no retry
any more."""

PREVIOUS_ATTEMPTS = "grpc-previous-rpc-attempts"
PUSHBACK = "grpc-retry-pushback-ms"


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """When a call that failed is made again, and after which pause (seconds).

    A call is made again only if it failed before the server's headers came, and if the messages that it sent until then
    are no more than 256 KiB: after that it counts as committed.
    """

    max_attempts: int = 4
    """The first attempt included; at most 5."""
    initial_backoff: float = 0.1
    max_backoff: float = 1.0
    backoff_multiplier: float = 2.0
    retryable_status_codes: frozenset[int] = frozenset({StatusCode.UNAVAILABLE})

    def __post_init__(self) -> None:
        if self.max_attempts < 2:
            raise InvalidArgument("max_attempts of a retry policy must be 2 or more")
        if not (self.initial_backoff > 0 and self.max_backoff > 0 and self.backoff_multiplier > 0):
            raise InvalidArgument("the backoff of a retry policy must be greater than 0")

    @property
    def attempts(self) -> int:
        return min(self.max_attempts, MAX_ATTEMPTS)

    def pause(self, retries: int) -> float:
        """Seconds before the retry that follows ``retries`` others: random, up to a bound that grows."""
        bound = min(self.initial_backoff * self.backoff_multiplier**retries, self.max_backoff)
        return uniform(0.8, 1.2) * bound

    def covers(self, code: int) -> bool:
        return code in self.retryable_status_codes


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryThrottling:
    """Stop retries while most calls fail (gRFC A6, "Throttling Retry Attempts and Hedged RPCs").

    A bucket of ``max_tokens`` loses one for each failure and gets ``token_ratio`` for each success; while it is no more
    than half full, there are no retries.
    """

    max_tokens: float = 10.0
    token_ratio: float = 0.1

    def __post_init__(self) -> None:
        if not (0 < self.max_tokens <= 1000 and self.token_ratio > 0):
            raise InvalidArgument("retry throttling takes max_tokens over 0 up to 1000, and a token_ratio over 0")


class RetryThrottle:
    """The bucket of one channel. Without `RetryThrottling` it is never empty."""

    def __init__(self, throttling: RetryThrottling | None = None) -> None:
        self._throttling = throttling
        self.tokens = 0.0 if throttling is None else throttling.max_tokens

    def failed(self) -> bool:
        """Count a failure. True if a retry is still allowed."""
        throttling = self._throttling
        if throttling is None:
            return True
        self.tokens = max(self.tokens - 1, 0)
        return self.tokens > throttling.max_tokens / 2

    def succeeded(self) -> None:
        """Count a success."""
        throttling = self._throttling
        if throttling is not None:
            self.tokens = min(self.tokens + throttling.token_ratio, throttling.max_tokens)


class Attempts:
    """What has been tried of one call, and what may be tried again."""

    __slots__ = ("_since_pushback", "_throttle", "_unprocessed", "_unsent", "policy", "retries")

    def __init__(self, policy: RetryPolicy | None, throttle: RetryThrottle) -> None:
        self.policy = policy
        self.retries = 0
        """By the policy; the server is told of these."""
        self._throttle = throttle
        self._since_pushback = 0
        self._unprocessed = False
        self._unsent = 0

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
        if unprocessed and not committed:  # "Transparent Retries"
            if not sent and self._unsent < MAX_UNSENT:
                self._unsent += 1
                return 0.0
            if sent and not self._unprocessed:
                self._unprocessed = True
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
        if not self.retries:
            return request
        return replace(request, metadata=(*request.metadata, (PREVIOUS_ATTEMPTS, str(self.retries))))


def pushback_of(trailers: Iterable[tuple[str, str | bytes]] | Metadata) -> float | None:
    """What the server says about retrying: seconds to wait, -1 for not to retry, None if it says nothing."""
    for name, value in trailers:
        if name == PUSHBACK:
            text = value if isinstance(value, str) else ""
            if text.isascii() and text.isdigit() and len(text) < 10:
                return int(text) / 1000
            return -1.0
    return None
