"""Service config as JSON (grpc/service_config.proto in protobuf's JSON form), read and checked."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping
from typing import Any, NoReturn, TypeVar

from puregrpc.channel.service_config.config import LoadBalancing, MethodConfig, ServiceConfig
from puregrpc.channel.service_config.policies import HedgingPolicy, RetryPolicy, RetryThrottling
from puregrpc.errors import InvalidArgument
from puregrpc.wire.status import StatusCode

__all__ = ["parse_service_config"]

T = TypeVar("T")

MAX_SIZE = 2**32 - 1
"""What a uint32 holds."""

MAX_SECONDS = 315_576_000_000
"""What a google.protobuf.Duration holds."""

_DURATION = re.compile(r"(-?)([0-9]{1,12})(?:\.([0-9]{1,9}))?s")
_DIGITS = re.compile(r"[0-9]{1,20}")

_MISSING = object()


def parse_service_config(given: Mapping[str, Any] | str) -> ServiceConfig:
    """The service config that JSON text, or what it was read to, says.

    Fields that are not known are passed over, as newer clients may know them. Raises InvalidArgument that names the
    field, what it is and what would be right. See gRPC's service_config.md, and gRFC A6 for the policies.
    """
    value: object = given
    if isinstance(given, str):
        try:
            value = json.loads(given, parse_constant=_no_constant, object_pairs_hook=_without_doubles)
        except (ValueError, RecursionError) as error:
            raise InvalidArgument(f"service config: not JSON: {error}") from None
    config = _Object(value, "")
    load_balancing, shuffle = _load_balancing(config)
    health = config.object("healthCheckConfig")
    throttling = config.object("retryThrottling")
    return ServiceConfig(
        methods=_methods(config),
        load_balancing=load_balancing,
        shuffle_addresses=shuffle,
        retry_throttling=None if throttling is None else _throttling(throttling),
        health_service=None if health is None else health.text("serviceName"),
    )


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON number")


def _without_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise ValueError(f"the key {name!r} comes twice in one object")
        found[name] = value
    return found


class _Object:
    """A JSON object, and where it stands."""

    def __init__(self, value: object, where: str) -> None:
        if not isinstance(value, Mapping):
            raise _wrong(where, value, "an object is expected")
        self._value = value
        self._where = where

    def place(self, name: str) -> str:
        return f"{self._where}.{name}" if self._where else name

    def get(self, name: str) -> object:
        """A field by its JSON name, or by its own; null is as good as none."""
        value = self._value.get(name, _MISSING)
        if value is _MISSING:
            value = self._value.get(re.sub("[A-Z]", lambda upper: f"_{upper[0].lower()}", name), _MISSING)
        return _MISSING if value is None else value

    def wrong(self, name: str, expected: str) -> InvalidArgument:
        return _wrong(self.place(name), self.get(name), expected)

    def items(self) -> Iterator[tuple[str, object]]:
        yield from self._value.items()

    def object(self, name: str) -> _Object | None:
        value = self.get(name)
        return None if value is _MISSING else _Object(value, self.place(name))

    def objects(self, name: str) -> list[_Object]:
        return [_Object(value, f"{self.place(name)}[{number}]") for number, value in enumerate(self.list(name) or ())]

    def list(self, name: str) -> list[Any] | None:
        value = self.get(name)
        if value is _MISSING:
            return None
        if not isinstance(value, list | tuple):
            raise self.wrong(name, "a list is expected")
        return list(value)

    def text(self, name: str) -> str:
        value = self.get(name)
        if value is _MISSING:
            return ""
        if not isinstance(value, str):
            raise self.wrong(name, "text is expected")
        return value

    def boolean(self, name: str) -> bool | None:
        value = self.get(name)
        if value is _MISSING:
            return None
        if not isinstance(value, bool):
            raise self.wrong(name, "true or false is expected")
        return value

    def whole(self, name: str, expected: str, *, least: int = 0, most: int = MAX_SIZE) -> int | None:
        """A whole number, or text that holds one."""
        value = self.get(name)
        if value is _MISSING:
            return None
        number: object = value
        if (isinstance(value, str) and _DIGITS.fullmatch(value)) or (isinstance(value, float) and value.is_integer()):
            number = int(value)
        if isinstance(number, bool) or not isinstance(number, int) or not least <= number <= most:
            raise self.wrong(name, expected)
        return number

    def number(self, name: str, expected: str) -> float | None:
        """A number over 0, or text that holds one."""
        value = self.get(name)
        if value is _MISSING:
            return None
        try:
            number = float(value) if isinstance(value, int | float | str) and not isinstance(value, bool) else 0.0
        except (ValueError, OverflowError):
            number = 0.0
        if not 0 < number < math.inf:
            raise self.wrong(name, expected)
        return number

    def duration(self, name: str, expected: str, *, may_be_zero: bool = True) -> float | None:
        """Seconds, as protobuf's JSON writes a google.protobuf.Duration."""
        value = self.get(name)
        if value is _MISSING:
            return None
        parsed = _DURATION.fullmatch(value) if isinstance(value, str) else None
        if parsed is None:
            raise self.wrong(name, expected)
        seconds = float(f"{parsed[2]}.{parsed[3] or 0}")
        if seconds > MAX_SECONDS or (seconds and parsed[1]) or not (seconds or may_be_zero):
            raise self.wrong(name, expected)
        return seconds

    def codes(self, name: str) -> frozenset[int] | None:
        """Status codes, as numbers or names."""
        given = self.list(name)
        if given is None:
            return None
        codes = set()
        for number, value in enumerate(given):
            code: int | None = None
            if isinstance(value, str):
                code = StatusCode.__members__.get(value.upper())
            elif isinstance(value, int) and not isinstance(value, bool):
                code = value
            if code is None or not 0 < code <= max(StatusCode):
                raise _wrong(
                    f"{self.place(name)}[{number}]",
                    value,
                    "the name or number of a status other than OK is expected, such as UNAVAILABLE",
                )
            codes.add(int(code))
        return frozenset(codes)


def _wrong(where: str, value: object, expected: str) -> InvalidArgument:
    if value is _MISSING:
        said = "is missing"
    else:
        shown = repr(value) if not isinstance(value, Mapping | list | tuple) else type(value).__name__
        said = f"is {shown if len(shown) <= 80 else shown[:77] + '...'}"
    return InvalidArgument(f"service config: {where + ' ' if where else ''}{said}: {expected}")


DURATION = 'seconds as text are expected, such as "1.5s"'
POSITIVE_DURATION = 'seconds over 0 as text are expected, such as "0.1s"'
SIZE = "bytes are expected, a whole number"
ATTEMPTS = "a whole number from 2 on is expected"


def _methods(config: _Object) -> dict[str, MethodConfig]:
    methods: dict[str, MethodConfig] = {}
    for given in config.objects("methodConfig"):
        method = _method(given)
        for name in given.objects("name"):
            service, called = name.text("service"), name.text("method")
            if called and not service:
                raise name.wrong("service", f"the service of the method {called!r} is expected")
            key = f"/{service}/{called}" if service else ""
            if key in methods:
                what = f"the name {key!r}" if key else "a default, which an empty name is,"
                where = given.place("name")
                raise InvalidArgument(f"service config: {where}: {what} was there before: each comes once")
            methods[key] = method
    return methods


def _method(given: _Object) -> MethodConfig:
    retry, hedging = given.object("retryPolicy"), given.object("hedgingPolicy")
    if retry is not None and hedging is not None:
        raise InvalidArgument(
            f"service config: {given.place('hedgingPolicy')}: there is a retryPolicy as well: one of them is expected"
        )
    return MethodConfig(
        timeout=given.duration("timeout", DURATION),
        wait_for_ready=given.boolean("waitForReady"),
        max_request_message_size=given.whole("maxRequestMessageBytes", SIZE),
        max_response_message_size=given.whole("maxResponseMessageBytes", SIZE),
        retry=None if retry is None else _retry(retry),
        hedging=None if hedging is None else _hedging(hedging),
    )


def _retry(given: _Object) -> RetryPolicy:
    over_0, some_codes = "a number over 0 is expected", "status codes are expected, one at least"
    multiplier = given.number("backoffMultiplier", over_0)
    codes = given.codes("retryableStatusCodes") or None
    return RetryPolicy(
        max_attempts=_needed(given, "maxAttempts", given.whole("maxAttempts", ATTEMPTS, least=2), ATTEMPTS),
        initial_backoff=_pause(given, "initialBackoff"),
        max_backoff=_pause(given, "maxBackoff"),
        backoff_multiplier=_needed(given, "backoffMultiplier", multiplier, over_0),
        retryable_status_codes=_needed(given, "retryableStatusCodes", codes, some_codes),
    )


def _pause(given: _Object, name: str) -> float:
    return _needed(given, name, given.duration(name, POSITIVE_DURATION, may_be_zero=False), POSITIVE_DURATION)


def _needed(given: _Object, name: str, value: T | None, expected: str) -> T:
    if value is None:
        raise given.wrong(name, expected)
    return value


def _hedging(given: _Object) -> HedgingPolicy:
    return HedgingPolicy(
        max_attempts=_needed(given, "maxAttempts", given.whole("maxAttempts", ATTEMPTS, least=2), ATTEMPTS),
        hedging_delay=given.duration("hedgingDelay", DURATION) or 0.0,
        non_fatal_status_codes=given.codes("nonFatalStatusCodes") or frozenset(),
    )


def _throttling(given: _Object) -> RetryThrottling:
    tokens, ratio = "a whole number from 1 to 1000 is expected", "a number from 0.001 on is expected"
    max_tokens = _needed(given, "maxTokens", given.whole("maxTokens", tokens, least=1, most=1000), tokens)
    token_ratio = _needed(given, "tokenRatio", given.number("tokenRatio", ratio), ratio)
    thousandths = int(min(token_ratio, 1e6) * 1000 + 1e-9)  # "Decimal places beyond 3 are ignored"
    if not thousandths:
        raise given.wrong("tokenRatio", ratio)
    return RetryThrottling(max_tokens=max_tokens, token_ratio=thousandths / 1000)


POLICIES: dict[str, LoadBalancing] = {"pick_first": "pick_first", "round_robin": "round_robin"}


def _load_balancing(config: _Object) -> tuple[LoadBalancing | None, bool]:
    """The first policy of loadBalancingConfig that there is here; else what loadBalancingPolicy, its elder, says."""
    choices = config.objects("loadBalancingConfig")
    known = "one of pick_first and round_robin is expected"
    for number, choice in enumerate(choices):
        items = list(choice.items())
        where = f"loadBalancingConfig[{number}]"
        if len(items) != 1:
            raise _wrong(where, [], f"an object with one policy is expected, and not with {len(items)}")
        name, value = items[0]
        if name in POLICIES:
            policy = _Object({} if value is None else value, f"{where}.{name}")
            shuffle = name == "pick_first" and policy.boolean("shuffleAddressList") is True
            return POLICIES[name], shuffle
    if choices:
        names = [name for choice in choices for name, _ in choice.items()]
        raise _wrong("loadBalancingConfig", ", ".join(names), known)
    elder = config.text("loadBalancingPolicy")
    if elder and elder.lower() not in POLICIES:
        raise config.wrong("loadBalancingPolicy", known)
    return POLICIES.get(elder.lower()), False
