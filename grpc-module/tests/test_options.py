"""Channel and server options, service config, credentials: what grpcio's words become."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest
from tests.conftest import unary_unary

import grpc
from grpc._channel_options import channel_keywords
from grpc._cython import cygrpc
from grpc._server_options import server_config

Serve = Callable[..., int]
Connect = Callable[..., grpc.Channel]


def test_channel_options_become_keywords() -> None:
    options = (
        ("grpc.max_receive_message_length", -1),
        ("grpc.max_send_message_length", 1000),
        ("grpc.keepalive_time_ms", 30000),
        ("grpc.keepalive_timeout_ms", 5000),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.default_authority", "example.org"),
        ("grpc.http_proxy", "http://proxy:3128"),
        ("grpc.enable_http_proxy", 0),
        ("grpc.lb_policy_name", "round_robin"),
        ("grpc.nobody_knows_it", "ignored"),
    )
    keywords: Any = channel_keywords(options, None, grpc.Compression.Gzip)
    assert keywords == {
        "max_receive_message_size": 2**31 - 1,
        "max_send_message_size": 1000,
        "keepalive_time": 30.0,
        "keepalive_timeout": 5.0,
        "keepalive_without_calls": True,
        "authority": "example.org",
        "compression": "gzip",
        "proxy": "http://proxy:3128",
        "environment_proxy": "never",
        "load_balancing": "round_robin",
    } | {name: keywords[name] for name in keywords if name.endswith("user_agent")}


def test_of_several_options_with_one_name_the_first_counts_and_user_agents_are_joined() -> None:
    options = (
        ("grpc.primary_user_agent", "first"),
        ("grpc.max_send_message_length", 1),
        ("grpc.secondary_user_agent", "third"),
        ("grpc.primary_user_agent", b"second"),
        ("grpc.max_send_message_length", 2),
        ("grpc.default_compression_algorithm", 2),
        ("grpc.secondary_user_agent", "fourth"),
    )
    keywords = channel_keywords(options, None, grpc.Compression.Deflate)
    assert (keywords["max_send_message_size"], keywords["compression"]) == (1, "gzip")
    agent = str(keywords["whole_user_agent"])
    assert agent.startswith("first second grpc-python/"), agent
    assert agent.endswith(" third fourth"), agent
    agent = str(channel_keywords((), None, on_asyncio=True)["whole_user_agent"])
    assert agent.startswith("grpc-python-asyncio/"), agent
    assert server_config(options).max_send_message_size == 1


def test_server_options_become_a_config() -> None:
    options = (
        ("grpc.max_concurrent_streams", 7),
        ("grpc.max_connection_age_ms", 60000),
        ("grpc.max_connection_idle_ms", 2**31 - 1),
        ("grpc.compression_enabled_algorithms_bitset", 5),
    )
    config = server_config(options, None, 3)
    assert (config.max_concurrent_streams, config.max_connection_age, config.max_connection_idle) == (7, 60.0, None)
    assert config.accept_encodings == ("identity", "gzip")
    assert config.max_concurrent_calls == 3


def retrying(attempts: list[int], fail: int) -> Any:
    def handler(request: bytes, context: grpc.ServicerContext) -> bytes:
        attempts.append(1)
        if len(attempts) <= fail:
            context.abort(grpc.StatusCode.UNAVAILABLE, "not yet")
        return b"done"

    return unary_unary(handler)


CONFIG = json.dumps(
    {
        "methodConfig": [
            {
                "name": [{}],
                "retryPolicy": {
                    "maxAttempts": 4,
                    "initialBackoff": "0.01s",
                    "maxBackoff": "0.01s",
                    "backoffMultiplier": 1,
                    "retryableStatusCodes": ["UNAVAILABLE"],
                },
            }
        ]
    }
)


@pytest.mark.parametrize("enabled", [1, 0])
def test_the_service_config_says_what_is_tried_again(serve: Serve, connect: Connect, enabled: int) -> None:
    attempts: list[int] = []
    options = (("grpc.service_config", CONFIG), ("grpc.enable_retries", enabled))
    method = connect(serve(retrying(attempts, 2)), options=options).unary_unary("/a.B/Call")
    if enabled:
        assert method(b"") == b"done"
        assert len(attempts) == 3
    else:
        with pytest.raises(grpc.RpcError, match="UNAVAILABLE"):
            method(b"")
        assert len(attempts) == 1


def test_values_that_mean_nothing_are_ignored() -> None:
    options = (
        ("grpc.default_compression_algorithm", 77),
        ("grpc.primary_user_agent", 5),
        ("grpc.primary_user_agent", "caf\xe9"),
        ("grpc.max_concurrent_streams", "many"),
        ("grpc.compression_enabled_algorithms_bitset", "all"),
    )
    keywords: Any = channel_keywords(options, None)
    assert "compression" not in keywords
    assert keywords["whole_user_agent"].startswith("caf? grpc-python/")
    assert server_config(options) == server_config(())


def test_a_target_that_cannot_be_fails_its_calls() -> None:
    with grpc.insecure_channel("foo/bar") as channel, pytest.raises(grpc.RpcError) as caught:
        channel.unary_unary("/a.B/Call")(b"")
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE  # type: ignore[attr-defined]
    with pytest.raises(NotImplementedError, match="xDS"):
        grpc.insecure_channel("xds:///service")


@pytest.mark.parametrize("config", ["{", "", "[]", '{"methodConfig": 5}', b'{"a": 1, "a": 2}'])
def test_a_service_config_that_is_not_valid_fails_the_calls(serve: Serve, connect: Connect, config: Any) -> None:
    port = serve(retrying([], 0))
    channel = connect(port, options=[("grpc.service_config", config)])
    for call in (channel.unary_unary("/a.B/Call"), channel.unary_unary("/a.B/Call").future):
        with pytest.raises(grpc.RpcError) as caught:
            call(b"", wait_for_ready=True).result()
        assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT  # type: ignore[attr-defined]
        start = f"Failed to create channel to '127.0.0.1:{port}': service config: "
        assert caught.value.details().startswith(start)  # type: ignore[attr-defined]
    with pytest.raises(grpc.FutureTimeoutError):
        grpc.channel_ready_future(channel).result(0.1)


async def calls_on_asyncio(options: Any) -> None:
    async with grpc.aio.insecure_channel("127.0.0.1:1", options) as channel:
        for call in (channel.unary_unary("/a.B/Call")(b""), channel.stream_stream("/a.B/Call")()):
            assert await call.code() is grpc.StatusCode.INVALID_ARGUMENT


def test_so_it_is_on_asyncio() -> None:
    asyncio.run(calls_on_asyncio([("grpc.service_config", "{")]))


def test_what_is_no_certificate_is_refused() -> None:
    with pytest.raises(TypeError):
        grpc.ssl_channel_credentials("text")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="At least one"):
        grpc.ssl_server_credentials(())
    with pytest.raises(ValueError, match="root certificates"):
        grpc.ssl_server_credentials(((b"key", b"chain"),), require_client_auth=True)


def test_fake_channels_find_the_plugins_of_credentials() -> None:
    """By grpcio's own names, as those of pytest-grpc do."""
    given: list[Any] = []
    plugin: Any = lambda context, done: done((), None)  # noqa: E731
    first, second = grpc.access_token_call_credentials("first"), grpc.metadata_call_credentials(plugin)
    call = grpc.composite_call_credentials(first, second)
    credentials: Any = grpc.composite_channel_credentials(grpc.ssl_channel_credentials(), call)
    assert isinstance(credentials._credentials, cygrpc.CompositeChannelCredentials)
    for each in credentials._credentials._call_credentialses:
        each._metadata_plugin._metadata_plugin(None, lambda metadata, error: given.append((metadata, error)))
    assert given == [((("authorization", "Bearer first"),), None), ((), None)]
    plain: Any = grpc.ssl_channel_credentials()
    assert not isinstance(plain._credentials, cygrpc.CompositeChannelCredentials)
    assert cygrpc._Metadatum("k", "v").key == "k"
