"""The policies of gRFC A6: when calls are made again or made several times at once, and when that stops."""

from __future__ import annotations

from dataclasses import dataclass
from random import uniform

from puregrpc.errors import InvalidArgument
from puregrpc.wire.status import StatusCode

__all__ = ["MAX_ATTEMPTS", "HedgingPolicy", "RetryPolicy", "RetryThrottling"]

MAX_ATTEMPTS = 5
"""More is taken as this (gRFC A6, "Maximum Number of Retries")."""

JITTER = 0.2
"""Pauses are shorter or longer by up to this part of them, as grpc-go's and grpcio's are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """When a call that failed is made again, and after which pause (seconds).

    A call is made again only if it failed before the server's headers came, and if the messages that it sent until then
    are no more than 256 KiB: after that it counts as committed. gRFC A6, "Retry Policy".
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
        return uniform(1 - JITTER, 1 + JITTER) * bound

    def covers(self, code: int) -> bool:
        return code in self.retryable_status_codes


@dataclass(frozen=True, slots=True, kw_only=True)
class HedgingPolicy:
    """A call is made several times at once, and the first answer counts; for methods that may run more than once.

    The attempts follow one another after ``hedging_delay``, or at once after one that failed with a status that is not
    fatal. The first whose headers come, or that ends with OK or a fatal status, is the call; the others are cancelled.
    What the call has sent until then goes out with each attempt; beyond 256 KiB the first that runs is the call.
    gRFC A6, "Hedging Policy".
    """

    max_attempts: int = 2
    """The first attempt included; at most 5."""
    hedging_delay: float = 0.0
    """Seconds between attempts; 0: all are made at once."""
    non_fatal_status_codes: frozenset[int] = frozenset()
    """An attempt that ends with one of these leaves the call to the others; any other status ends the call."""

    def __post_init__(self) -> None:
        if self.max_attempts < 2:
            raise InvalidArgument("max_attempts of a hedging policy must be 2 or more")
        if not self.hedging_delay >= 0:
            raise InvalidArgument("hedging_delay of a hedging policy must be 0 or more seconds")

    @property
    def attempts(self) -> int:
        return min(self.max_attempts, MAX_ATTEMPTS)

    def covers(self, code: int) -> bool:
        return code in self.non_fatal_status_codes


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryThrottling:
    """Stop retries and hedging while most calls fail (gRFC A6, "Throttling Retry Attempts and Hedged RPCs").

    A bucket of ``max_tokens`` loses one for each failure and gets ``token_ratio`` for each success; while it is no more
    than half full, there are no other attempts.
    """

    max_tokens: float = 10.0
    token_ratio: float = 0.1

    def __post_init__(self) -> None:
        if not (0 < self.max_tokens <= 1000 and self.token_ratio > 0):
            raise InvalidArgument("retry throttling takes max_tokens over 0 up to 1000, and a token_ratio over 0")
