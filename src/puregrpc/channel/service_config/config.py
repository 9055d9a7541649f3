"""What a service config says, as data: for each method, and for the channel as a whole."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from puregrpc.channel.service_config.policies import HedgingPolicy, RetryPolicy, RetryThrottling
from puregrpc.errors import InvalidArgument

__all__ = ["LoadBalancing", "MethodConfig", "MethodConfigs", "ServiceConfig"]

LoadBalancing = Literal["pick_first", "round_robin"]


@dataclass(frozen=True, slots=True, kw_only=True)
class MethodConfig:
    """What holds for the calls of a method, of a service or of all. Times are seconds, sizes bytes; None: not said."""

    timeout: float | None = None
    """The longest that a call may take; its own timeout may be shorter."""
    wait_for_ready: bool | None = None
    """For calls that do not say it themselves."""
    max_request_message_size: int | None = None
    max_response_message_size: int | None = None
    """Of these and the channel's own limits, the smaller ones count."""
    retry: RetryPolicy | None = None
    hedging: HedgingPolicy | None = None

    def __post_init__(self) -> None:
        if self.retry is not None and self.hedging is not None:
            raise InvalidArgument("calls are either retried or hedged: there is a retry policy and a hedging policy")

    @property
    def is_plain(self) -> bool:
        """Nothing of it has to be looked at before a call is made or after it is over."""
        return (
            self.timeout is None
            and self.retry is None
            and self.hedging is None
            and self.max_request_message_size is None
        )

    def check_request(self, size: int) -> None:
        """Raise InvalidArgument if a request of so many bytes is more than may be sent."""
        most = self.max_request_message_size
        if most is not None and size > most:
            raise InvalidArgument(f"trying to send message larger than max ({size} vs. {most})")


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceConfig:
    """What a service's owner wants its clients to go by (gRPC's service_config.md)."""

    methods: Mapping[str, MethodConfig] = field(default_factory=dict)
    """By ``/pkg.Service/Method``, by ``/pkg.Service/``, or by ``""`` for all methods that have none of their own."""
    load_balancing: LoadBalancing | None = None
    shuffle_addresses: bool = False
    """With ``pick_first``: in a random order (gRFC A62)."""
    retry_throttling: RetryThrottling | None = None
    health_service: str | None = None
    """With ``round_robin``: the service whose health is watched (gRFC A17)."""


class MethodConfigs:
    """The configs of methods, completed by what holds for the channel."""

    __slots__ = ("_by_name", "_default")

    def __init__(
        self,
        methods: Mapping[str, MethodConfig],
        default: MethodConfig,
        *,
        attempts: bool = True,
        max_send_message_size: int | None = None,
        max_receive_message_size: int | None = None,
    ) -> None:
        """``default`` is taken where a method's config does not say a thing; the sizes are the channel's own limits.

        ``attempts`` False: no policy makes another attempt.
        """

        def completed(config: MethodConfig) -> MethodConfig:
            has_policy = config.retry is not None or config.hedging is not None
            policies = config if has_policy else default
            return MethodConfig(
                timeout=config.timeout if config.timeout is not None else default.timeout,
                wait_for_ready=config.wait_for_ready if config.wait_for_ready is not None else default.wait_for_ready,
                max_request_message_size=_less_than(max_send_message_size, config.max_request_message_size),
                max_response_message_size=_less_than(max_receive_message_size, config.max_response_message_size),
                retry=policies.retry if attempts else None,
                hedging=policies.hedging if attempts else None,
            )

        self._by_name = {name: completed(config) for name, config in methods.items()}
        self._default = self._by_name.pop("") if "" in self._by_name else completed(default)

    def of(self, path: str) -> MethodConfig:
        """What holds for the calls with this :path: what its method, else its service, else the default says."""
        by_name = self._by_name
        if not by_name:
            return self._default
        return by_name.get(path) or by_name.get(path[: path.rfind("/") + 1]) or self._default

    @property
    def largest_response(self) -> int:
        """The most that a response of any method may be, as far as that is said here; else 0."""
        configs = (self._default, *self._by_name.values())
        return max(config.max_response_message_size or 0 for config in configs)


def _less_than(limit: int | None, size: int | None) -> int | None:
    """``size``, where it is not what the channel's own limit says in any case."""
    return None if size is None or (limit is not None and size >= limit) else size
