"""Retrying calls that failed (gRFC A6). Calls known never to have been begun are retried without any of this."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from random import uniform

from puregrpc.errors import InvalidArgument
from puregrpc.wire.connection import Metadata
from puregrpc.wire.status import StatusCode

__all__ = ["PREVIOUS_ATTEMPTS", "RetryPolicy", "RetryThrottle", "pushback_of"]

MAX_ATTEMPTS = 5
"""More is taken as this (gRFC A6, "Maximum Number of Retries")."""

PREVIOUS_ATTEMPTS = "grpc-previous-rpc-attempts"
PUSHBACK = "grpc-retry-pushback-ms"


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """When a call with one request and one response is made again, and after which pause (seconds).

    A call is made again only if it failed before the server's headers came; with them it counts as committed.
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


class RetryThrottle:
    """Stops retries when most calls fail: a bucket of tokens, one less for a failure, ``ratio`` more for a success."""

    def __init__(self, max_tokens: float = 10.0, ratio: float = 0.1) -> None:
        self.max_tokens = max_tokens
        self.ratio = ratio
        self.tokens = max_tokens

    def failed(self) -> bool:
        """Count a failure. True if a retry is still allowed."""
        self.tokens = max(self.tokens - 1, 0)
        return self.tokens > self.max_tokens / 2

    def succeeded(self) -> None:
        self.tokens = min(self.tokens + self.ratio, self.max_tokens)


def pushback_of(trailers: Iterable[tuple[str, str | bytes]] | Metadata) -> float | None:
    """What the server says about retrying: seconds to wait, -1 for not to retry, None if it says nothing."""
    for name, value in trailers:
        if name == PUSHBACK:
            text = value if isinstance(value, str) else ""
            if text.isascii() and text.isdigit() and len(text) < 10:
                return int(text) / 1000
            return -1.0
    return None
