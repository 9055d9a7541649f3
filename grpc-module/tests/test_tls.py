"""TLS: certificates of both sides, what a server sees of them, several pairs, reloading."""

from __future__ import annotations

from collections.abc import Callable
from concurrent import futures
from pathlib import Path
from typing import Any

import pytest
import trustme
from tests.conftest import unary_unary

import grpc

Serve = Callable[..., int]
CA = trustme.CA()
ROOTS = CA.cert_pem.bytes()


def pair(*names: str, ca: trustme.CA = CA) -> tuple[bytes, bytes]:
    issued = ca.issue_cert(*names)
    return issued.private_key_pem.bytes(), b"".join(each.bytes() for each in issued.cert_chain_pems)


def look(seen: list[Any]) -> Any:
    def handler(request: bytes, context: grpc.ServicerContext) -> bytes:
        seen.append((context.auth_context(), context.peer_identities(), context.peer_identity_key()))
        return b"done"

    return unary_unary(handler)


def call(port: int, credentials: grpc.ChannelCredentials, **options: Any) -> bytes:
    with grpc.secure_channel(f"localhost:{port}", credentials, **options) as channel:
        return channel.unary_unary("/a.B/Call")(b"", timeout=10)  # type: ignore[no-any-return]


def test_a_server_sees_the_names_in_the_clients_certificate(serve: Serve) -> None:
    seen: list[Any] = []
    credentials = grpc.ssl_server_credentials([pair("localhost")], ROOTS, require_client_auth=True)
    port = serve(look(seen), credentials=credentials)
    key, chain = pair("one.example", "two.example")
    assert call(port, grpc.ssl_channel_credentials(ROOTS, key, chain)) == b"done"
    context, identities, identity_key = seen[0]
    assert context["transport_security_type"] == [b"ssl"]
    assert b"BEGIN CERTIFICATE" in context["x509_pem_cert"][0]
    assert sorted(identities) == [b"one.example", b"two.example"]
    assert identity_key == "x509_subject_alternative_name"
    with pytest.raises(grpc.RpcError) as caught:
        call(port, grpc.ssl_channel_credentials(ROOTS))
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE  # type: ignore[attr-defined]


def test_plaintext_proves_nothing(serve: Serve) -> None:
    seen: list[Any] = []
    port = serve(look(seen))
    with grpc.insecure_channel(f"localhost:{port}") as channel:
        channel.unary_unary("/a.B/Call")(b"")
    context, identities, identity_key = seen[0]
    assert context["transport_security_type"] == [b"insecure"]
    assert (identities, identity_key) == (None, None)


def test_call_credentials_go_over_tls_and_not_in_plaintext(serve: Serve) -> None:
    def token(request: bytes, context: grpc.ServicerContext) -> bytes:
        return str(dict(context.invocation_metadata())["authorization"]).encode()

    port = serve(unary_unary(token), credentials=grpc.ssl_server_credentials([pair("localhost")]))
    secret = grpc.access_token_call_credentials("secret")
    credentials = grpc.composite_channel_credentials(grpc.ssl_channel_credentials(ROOTS), secret)
    assert call(port, credentials) == b"Bearer secret"
    with grpc.insecure_channel(f"localhost:{port}") as channel, pytest.raises(grpc.RpcError) as caught:
        channel.unary_unary("/a.B/Call")(b"", credentials=secret)
    assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED  # type: ignore[attr-defined]


def test_a_name_may_be_put_in_the_place_of_the_targets(serve: Serve) -> None:
    port = serve(look([]), credentials=grpc.ssl_server_credentials([pair("other.example")]))
    options = (("grpc.ssl_target_name_override", "other.example"),)
    assert call(port, grpc.ssl_channel_credentials(ROOTS), options=options) == b"done"


def test_the_pair_is_chosen_by_the_name_that_is_asked_for(serve: Serve) -> None:
    pairs = [pair("one.example"), pair("two.example")]
    port = serve(look([]), credentials=grpc.ssl_server_credentials(pairs))
    for name in ("one.example", "two.example"):
        options = (("grpc.ssl_target_name_override", name),)
        assert call(port, grpc.ssl_channel_credentials(ROOTS), options=options) == b"done"


def test_certificates_change_while_the_server_runs(serve: Serve) -> None:
    other = trustme.CA()
    configurations = [
        grpc.ssl_server_certificate_configuration([pair("localhost")]),
        grpc.ssl_server_certificate_configuration([pair("localhost", ca=other)]),
    ]
    current = configurations[0]
    credentials = grpc.dynamic_ssl_server_credentials(current, lambda: current)
    port = serve(look([]), credentials=credentials)
    assert call(port, grpc.ssl_channel_credentials(ROOTS)) == b"done"
    current = configurations[1]
    assert call(port, grpc.ssl_channel_credentials(other.cert_pem.bytes())) == b"done"
    with pytest.raises(grpc.RpcError):
        call(port, grpc.ssl_channel_credentials(ROOTS))


def test_channels_with_one_cache_go_on_with_its_sessions(serve: Serve) -> None:
    seen: list[Any] = []
    port = serve(look(seen), credentials=grpc.ssl_server_credentials([pair("localhost")]))
    credentials = grpc.ssl_channel_credentials(ROOTS)
    options = (("grpc.ssl_session_cache", grpc.experimental.session_cache.ssl_session_cache_lru(1)),)
    for each in (options, options, ()):
        assert call(port, credentials, options=each) == b"done"
    assert [context["ssl_session_reused"] for context, _, _ in seen] == [[b"false"], [b"true"], [b"false"]]


def test_compute_engine_credentials_are_tls_with_call_credentials(
    serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Any] = []

    def handler(request: bytes, context: grpc.ServicerContext) -> bytes:
        seen.append(dict(context.invocation_metadata())["authorization"])
        return b"done"

    port = serve(unary_unary(handler), credentials=grpc.ssl_server_credentials([pair("localhost")]))
    (tmp_path / "roots.pem").write_bytes(ROOTS)
    monkeypatch.setenv("GRPC_DEFAULT_SSL_ROOTS_FILE_PATH", str(tmp_path / "roots.pem"))
    token = grpc.access_token_call_credentials("abc")
    assert call(port, grpc.compute_engine_channel_credentials(token)) == b"done"
    assert seen == ["Bearer abc"]


def test_a_key_that_is_none_is_told_when_its_port_is_added() -> None:
    server = grpc.server(futures.ThreadPoolExecutor(1))
    with pytest.raises(RuntimeError, match="Failed to bind to address localhost:0"):
        server.add_secure_port("localhost:0", grpc.ssl_server_credentials([(b"none", b"none")]))
