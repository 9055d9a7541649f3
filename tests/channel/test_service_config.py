"""Service config: its JSON, what it means for methods, and what comes of it in calls."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from puregrpc import Client, StatusOK
from puregrpc.channel import (
    HedgingPolicy,
    MethodConfig,
    RetryPolicy,
    RetryThrottling,
    ServiceConfig,
    parse_service_config,
)
from puregrpc.channel.options import channel_options
from puregrpc.channel.service_config.config import MethodConfigs
from puregrpc.errors import InvalidArgument, RpcError
from puregrpc.wire.connection import Request, ServerCall
from puregrpc.wire.status import Status, StatusCode
from tests.channel.helpers import run
from tests.channel.test_retrying import UNAVAILABLE, Flaky
from tests.channel.wire_server import EchoCall, SilentCall, WireSession, wire_server
from tests.worlds import open_channel

ONE_WORLD = pytest.mark.worlds("threads")

ECHO = "test.Service/Echo"

RETRY = {
    "maxAttempts": 3,
    "initialBackoff": "0.01s",
    "maxBackoff": "0.02s",
    "backoffMultiplier": 2,
    "retryableStatusCodes": ["UNAVAILABLE"],
}


@ONE_WORLD
def test_all_that_can_be_said() -> None:
    config = parse_service_config(
        {
            "loadBalancingConfig": [{"grpclb": {}}, {"pick_first": {"shuffleAddressList": True}}],
            "methodConfig": [
                {
                    "name": [{"service": "a.B", "method": "C"}, {"service": "a.B", "method": "D"}],
                    "timeout": "1.500s",
                    "waitForReady": True,
                    "maxRequestMessageBytes": 10,
                    "maxResponseMessageBytes": "20",
                    "retryPolicy": {
                        **RETRY,
                        "maxAttempts": 9,
                        "retryableStatusCodes": ["unavailable", 4, "ABORTED"],
                        "newer": 1,
                    },
                },
                {"name": [{"service": "a.B"}], "hedgingPolicy": {"maxAttempts": 2}},
                {
                    "name": [{}],
                    "hedgingPolicy": {"maxAttempts": 4, "hedgingDelay": "0.05s", "nonFatalStatusCodes": [14]},
                },
                {"timeout": "9s"},
            ],
            "retryThrottling": {"maxTokens": 10, "tokenRatio": 0.1239},
            "healthCheckConfig": {"serviceName": "a.B"},
            "unknown": [1, 2],
        }
    )
    first = MethodConfig(
        timeout=1.5,
        wait_for_ready=True,
        max_request_message_size=10,
        max_response_message_size=20,
        retry=RetryPolicy(
            max_attempts=9,
            initial_backoff=0.01,
            max_backoff=0.02,
            backoff_multiplier=2,
            retryable_status_codes=frozenset({4, 10, 14}),
        ),
    )
    assert config == ServiceConfig(
        methods={
            "/a.B/C": first,
            "/a.B/D": first,
            "/a.B/": MethodConfig(hedging=HedgingPolicy(max_attempts=2)),
            "": MethodConfig(
                hedging=HedgingPolicy(max_attempts=4, hedging_delay=0.05, non_fatal_status_codes=frozenset({14}))
            ),
        },
        load_balancing="pick_first",
        shuffle_addresses=True,
        retry_throttling=RetryThrottling(max_tokens=10, token_ratio=0.123),
        health_service="a.B",
    )
    assert first.retry is not None
    assert first.retry.attempts == 5


@ONE_WORLD
def test_field_names_of_the_proto_file_and_null_are_taken() -> None:
    config = parse_service_config(
        '{"method_config": [{"name": [{}], "wait_for_ready": true, "timeout": null}],'
        ' "loadBalancingPolicy": "ROUND_ROBIN"}'
    )
    assert config == ServiceConfig(methods={"": MethodConfig(wait_for_ready=True)}, load_balancing="round_robin")
    assert parse_service_config("{}") == ServiceConfig()


def method(**fields: Any) -> dict[str, Any]:
    return {"methodConfig": [{"name": [{}], **fields}]}


@ONE_WORLD
@pytest.mark.parametrize(
    ("config", "said"),
    [
        ("{", "not JSON: "),
        ("[" * 100_000, "not JSON: "),
        ('{"retryThrottling": NaN}', "not JSON: NaN is no JSON number"),
        ("[]", "service config: is list: an object is expected"),
        ({"methodConfig": {}}, "methodConfig is dict: a list is expected"),
        ({"methodConfig": [1]}, r"methodConfig\[0\] is 1: an object is expected"),
        ({"methodConfig": [{"name": [{"method": "M"}]}]}, r"name\[0\].service is missing: the service of the method"),
        ({"methodConfig": [{"name": [{}, {}]}]}, "a default, which an empty name is, was there before"),
        ({"methodConfig": [{"name": [{"service": "s"}]}] * 2}, "the name '/s/' was there before: each comes once"),
        ({"methodConfig": [{"name": [{"service": 1}]}]}, r"methodConfig\[0\].name\[0\].service is 1: text is expected"),
        (method(timeout=5), "timeout is 5: seconds as text are expected, such as \"1.5s\""),
        (method(timeout="-1s"), "timeout is '-1s': seconds"),
        (method(timeout="1.0000000001s"), "timeout is '1.0000000001s': seconds"),
        (method(waitForReady="yes"), "waitForReady is 'yes': true or false is expected"),
        (method(maxRequestMessageBytes=-1), "maxRequestMessageBytes is -1: bytes are expected"),
        (method(maxResponseMessageBytes=2**32), "maxResponseMessageBytes is 4294967296: bytes are expected"),
        (method(maxResponseMessageBytes=True), "maxResponseMessageBytes is True: bytes are expected"),
        (method(retryPolicy=RETRY, hedgingPolicy={"maxAttempts": 2}), "there is a retryPolicy as well"),
        (method(retryPolicy={}), r"methodConfig\[0\].retryPolicy.maxAttempts is missing: a whole number from 2 on"),
        (method(retryPolicy={**RETRY, "maxAttempts": 1}), "retryPolicy.maxAttempts is 1: a whole number from 2 on"),
        (method(retryPolicy={**RETRY, "maxAttempts": 2.5}), "retryPolicy.maxAttempts is 2.5"),
        (method(retryPolicy={**RETRY, "initialBackoff": "0s"}), "initialBackoff is '0s': seconds over 0"),
        (method(retryPolicy={**RETRY, "maxBackoff": "1"}), "maxBackoff is '1': seconds over 0"),
        (method(retryPolicy={**RETRY, "backoffMultiplier": 0}), "backoffMultiplier is 0: a number over 0 is expected"),
        (method(retryPolicy={**RETRY, "backoffMultiplier": "x"}), "backoffMultiplier is 'x': a number over 0"),
        (method(retryPolicy={**RETRY, "retryableStatusCodes": []}), "retryableStatusCodes is list: status codes are"),
        (method(retryPolicy={**RETRY, "retryableStatusCodes": ["NO"]}), r"retryableStatusCodes\[0\] is 'NO': the name"),
        (method(retryPolicy={**RETRY, "retryableStatusCodes": [0]}), r"retryableStatusCodes\[0\] is 0: the name or"),
        (method(retryPolicy={**RETRY, "retryableStatusCodes": [17]}), r"retryableStatusCodes\[0\] is 17: the name or"),
        (method(hedgingPolicy={"maxAttempts": 2, "hedgingDelay": "soon"}), "hedgingPolicy.hedgingDelay is 'soon'"),
        ({"retryThrottling": {"maxTokens": 1001, "tokenRatio": 1}}, "maxTokens is 1001: a whole number from 1 to 1000"),
        ({"retryThrottling": {"maxTokens": 10}}, "retryThrottling.tokenRatio is missing: a number from 0.001 on"),
        ({"retryThrottling": {"maxTokens": 10, "tokenRatio": 0.0009}}, "tokenRatio is 0.0009: a number from 0.001 on"),
        ({"loadBalancingConfig": [{"xds": {}}, {"grpclb": {}}]}, "is 'xds, grpclb': one of pick_first and round_robin"),
        ({"loadBalancingConfig": [{}]}, r"loadBalancingConfig\[0\] is list: an object with one policy is expected"),
        ({"loadBalancingPolicy": "best"}, "loadBalancingPolicy is 'best': one of pick_first and round_robin"),
        ({"healthCheckConfig": {"serviceName": 1}}, "healthCheckConfig.serviceName is 1: text is expected"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named(config: dict[str, Any] | str, said: str) -> None:
    with pytest.raises(InvalidArgument, match=said):
        channel_options("localhost:1", service_config=config)


KEYS = st.sampled_from(
    [
        *("methodConfig", "name", "service", "method", "timeout", "waitForReady"),
        *("maxRequestMessageBytes", "maxResponseMessageBytes", "retryPolicy", "hedgingPolicy", "maxAttempts"),
        *("initialBackoff", "maxBackoff", "backoffMultiplier", "retryableStatusCodes", "hedgingDelay"),
        *("nonFatalStatusCodes", "retryThrottling", "maxTokens", "tokenRatio", "loadBalancingConfig", "pick_first"),
        "healthCheckConfig",
    ]
)
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=5)
    | st.sampled_from(["1s", "0.1s", "14"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=6),
    max_leaves=20,
)


@ONE_WORLD
@given(st.dictionaries(KEYS, VALUES, max_size=4))
def test_whatever_is_given_is_a_config_or_an_error_of_the_user(config: dict[str, Any]) -> None:
    for form in (config, json.dumps(config)):
        with suppress(InvalidArgument):
            assert isinstance(parse_service_config(form), ServiceConfig)


@ONE_WORLD
def test_a_method_goes_before_its_service_and_that_before_the_default() -> None:
    methods = {name: MethodConfig(timeout=time) for name, time in (("/a.B/C", 1), ("/a.B/", 2), ("", 3))}
    configs = MethodConfigs(methods, MethodConfig(timeout=4, wait_for_ready=True))
    assert [configs.of(path).timeout for path in ("/a.B/C", "/a.B/X", "/a.X/C", "/a.B", "x")] == [1, 2, 3, 3, 3]
    assert all(configs.of(path).wait_for_ready for path in ("/a.B/C", "/a.X/C"))


@ONE_WORLD
def test_keywords_are_what_the_config_does_not_say() -> None:
    policy = RetryPolicy(max_attempts=2)
    config = {
        "loadBalancingConfig": [{"round_robin": {}}],
        "healthCheckConfig": {"serviceName": ""},
        "retryThrottling": {"maxTokens": 5, "tokenRatio": 1},
        "methodConfig": [
            {"name": [{"service": "s", "method": "hedged"}], "hedgingPolicy": {"maxAttempts": 2}},
            {"name": [{"service": "s"}], "waitForReady": False, "maxResponseMessageBytes": 100 << 20},
        ],
    }
    _, options = channel_options("localhost:1", service_config=config, retry=policy, wait_for_ready=True)
    assert (options.load_balancing, options.health_service) == ("round_robin", "")
    assert options.retry_throttling == RetryThrottling(max_tokens=5, token_ratio=1)
    assert options.methods.of("/s/hedged").retry is None
    assert options.methods.of("/s/other").retry == options.methods.of("/other/m").retry == policy
    assert not options.details("/s/other").wait_for_ready
    assert options.details("/other/m").wait_for_ready
    assert options.request("/s/other").max_receive_message_size == 100 << 20
    assert options.request("/other/m").max_receive_message_size is None
    assert options.connection.connection_memory >= 200 << 20

    _, options = channel_options(
        "localhost:1", service_config=config, retry=policy, enable_retries=False, max_receive_message_size=1 << 20
    )
    assert options.methods.of("/s/hedged").hedging is None
    assert options.methods.of("/other/m").retry is None
    assert options.request("/s/other").max_receive_message_size is None  # the channel's own is smaller
    _, options = channel_options("localhost:1", service_config={"healthCheckConfig": {"serviceName": ""}})
    assert options.health_service is None  # gRFC A17: not with pick_first
    with pytest.raises(InvalidArgument, match="either retried or hedged"):
        channel_options("localhost:1", retry=policy, hedging=HedgingPolicy())


class BigCall(ServerCall):
    """Answers with as many octets as the request says, in two messages if it ends with a ``+``."""

    def __init__(self, session: WireSession, encoding: str) -> None:
        super().__init__()
        self.session = session
        self.encoding = encoding

    def on_message(self, message: bytes) -> None:
        connection = self.session.connection
        connection.send_headers(self, encoding=self.encoding)
        if message.endswith(b"+"):
            connection.send_message(self, b"")
        connection.send_message(self, bytes(int(message.strip(b"+"))))
        connection.send_trailers(self, Status(StatusCode.OK))


@pytest.mark.parametrize("compression", [None, "gzip"])
def test_sizes_of_a_method(compression: str | None) -> None:
    async def test() -> None:
        config = {
            "methodConfig": [
                {"name": [{"service": "test.Small"}], "maxRequestMessageBytes": 5, "maxResponseMessageBytes": 1000},
                {"name": [{"service": "test.Big"}], "maxResponseMessageBytes": 6 << 20},
            ]
        }

        def on_call(session: WireSession, _: Request) -> ServerCall:
            return BigCall(session, compression or "identity")

        async with (
            wire_server(on_call) as server,
            open_channel(server.address, service_config=config) as channel,
        ):
            small, big, other = (channel.unary_unary(f"test.{name}/Call") for name in ("Small", "Big", "Other"))
            assert len(await small(b"1000")) == 1000
            for path in (small, channel.stream_unary("test.Small/Call")):
                with pytest.raises(RpcError, match=r"RESOURCE_EXHAUSTED.*larger than max"):
                    await path([b"1001"] if path is not small else b"1001")
            async with channel.unary_stream("test.Small/Call")(b"1001+") as call:
                assert await call.receive() == b""
                with pytest.raises(RpcError, match=r"RESOURCE_EXHAUSTED.*larger than max"):
                    await call.receive()
            requests = len(server.requests)
            with pytest.raises(InvalidArgument, match=r"trying to send message larger than max \(6 vs. 5\)"):
                await small(b"000001")
            with pytest.raises(InvalidArgument, match=r"trying to send message larger than max \(6 vs. 5\)"):
                async with channel.call("test.Small/Call") as call:
                    await call.send(b"000001")
            with pytest.raises(InvalidArgument, match=r"trying to send message larger than max \(6 vs. 5\)"):
                async with channel.unary_stream("test.Small/Call")(b"000001"):
                    pass
            assert len(server.requests) <= requests + 1
            five = str(5 << 20).encode()
            assert len(await big(five)) == 5 << 20
            with pytest.raises(RpcError, match=r"RESOURCE_EXHAUSTED.*larger than max"):
                await other(five)

    run(test)


def test_timeouts_and_waiting_of_a_method() -> None:
    async def test() -> None:
        config = {
            "methodConfig": [
                {"name": [{"service": "test.Service", "method": "Wait"}], "timeout": "0.2s"},
                {"name": [{"service": "test.Service"}], "timeout": "60s", "waitForReady": True},
            ]
        }

        def on_call(session: WireSession, request: Request) -> ServerCall:
            return EchoCall(session) if request.path == f"/{ECHO}" else SilentCall()

        async with wire_server(on_call) as server, open_channel(server.address, service_config=config) as channel:
            assert await channel.unary_unary(ECHO)(b"") == b""
            assert 50 < (server.requests[-1].timeout or 0) <= 60
            assert await channel.unary_unary(ECHO)(b"", timeout=30) == b""
            assert 20 < (server.requests[-1].timeout or 0) <= 30
            with pytest.raises(RpcError, match="DEADLINE_EXCEEDED"):
                await channel.unary_unary("test.Service/Wait")(b"")
            with pytest.raises(RpcError, match="DEADLINE_EXCEEDED"):
                async with channel.call("test.Service/Wait", timeout=100) as call:
                    await call.receive()
        async with open_channel(server.address, service_config=config) as channel:  # nobody is there any more
            with pytest.raises(RpcError, match="DEADLINE_EXCEEDED"):
                await channel.unary_unary(ECHO)(b"", timeout=0.2)
            with pytest.raises(RpcError, match="UNAVAILABLE"):
                await channel.unary_unary(ECHO)(b"", timeout=10, wait_for_ready=False)
            with pytest.raises(RpcError, match="UNAVAILABLE"):
                await channel.unary_unary("other.Service/Echo")(b"", timeout=10)

    run(test)


def test_the_retry_policy_of_a_method() -> None:
    async def test() -> None:
        flaky = Flaky()
        config = {"methodConfig": [{"name": [{"service": "test.Service"}], "retryPolicy": RETRY}]}
        async with wire_server(flaky) as server, open_channel(server.address, service_config=config) as channel:
            flaky.statuses[:] = [UNAVAILABLE] * 2
            assert await channel.unary_unary(ECHO)(b"third") == b"third"
            flaky.statuses[:] = [UNAVAILABLE] * 2
            assert await channel.stream_unary(ECHO)([b"a", b"b"]) == b"ab"
            flaky.statuses[:] = [UNAVAILABLE]
            with pytest.raises(RpcError, match="UNAVAILABLE: busy"):
                await channel.unary_unary("other.Service/Echo")(b"")

    run(test)


@ONE_WORLD
def test_a_client_of_scripts_goes_by_it(tmp_path: Path) -> None:
    (tmp_path / "echo.proto").write_text(
        'syntax = "proto3"; package test; message M {} service Service { rpc Echo(M) returns (M); }'
    )
    flaky = Flaky()
    config = {"methodConfig": [{"name": [{}], "retryPolicy": RETRY}]}
    with wire_server(flaky) as server, Client() as client:
        client.load([tmp_path], "echo.proto")
        client.connect(server.address, plaintext=True, service_config=config)
        flaky.statuses[:] = [UNAVAILABLE] * 2
        assert client.invoke("test.Service/Echo", {}).status == StatusOK
        assert len(flaky.calls) == 3
    with pytest.raises(
        InvalidArgument, match=r"invalid grpc.connect\(\) parameters: service config: methodConfig is 1: a"
    ):
        Client().connect("localhost:1", serviceConfig={"methodConfig": 1})
    with pytest.raises(InvalidArgument, match="invalid serviceConfig value: '1', it needs to be an object or JSON"):
        Client().connect("localhost:1", serviceConfig=1)  # type: ignore[arg-type]
