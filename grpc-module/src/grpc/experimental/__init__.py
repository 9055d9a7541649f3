"""What grpcio calls experimental: calls without a channel of one's own, early starts of servers' handlers."""

from __future__ import annotations

import copy
import enum
import functools
import importlib
import warnings
from collections.abc import Callable
from typing import Any

from grpc import _simple_stubs
from grpc._runtime_protos import protos, protos_and_services, services

__all__ = [
    "ChannelOptions", "CustomPrivateKeySign", "ExperimentalApiWarning", "PrivateKeySignCancel",
    "PrivateKeySignOnComplete",
    "PrivateKeySignatureAlgorithm", "UsageError", "experimental_api",
    "insecure_channel_credentials", "protos", "protos_and_services", "services",
    "ssl_channel_credentials_with_custom_signer", "stream_stream", "stream_unary", "unary_stream", "unary_unary",
    "wrap_server_method_handler",
]  # fmt: skip


class ChannelOptions:
    """Names of channel options."""

    SingleThreadedUnaryStream = "SingleThreadedUnaryStream"


class UsageError(Exception):
    """The simple calls were used in a way that they do not allow."""


class ExperimentalApiWarning(Warning):
    """What is used here may change."""


def insecure_channel_credentials() -> Any:
    """Credentials of a channel in plaintext."""
    from grpc._credentials import ChannelCredentials, _Connecting

    return ChannelCredentials(_Connecting(None, may_carry_secrets=False))


class PrivateKeySignatureAlgorithm(enum.Enum):
    """How a custom signer is asked to sign."""

    RSA_PKCS1_SHA256 = 0
    RSA_PKCS1_SHA384 = 1
    RSA_PKCS1_SHA512 = 2
    ECDSA_SECP256R1_SHA256 = 3
    ECDSA_SECP384R1_SHA384 = 4
    ECDSA_SECP521R1_SHA512 = 5
    RSA_PSS_RSAE_SHA256 = 6
    RSA_PSS_RSAE_SHA384 = 7
    RSA_PSS_RSAE_SHA512 = 8


PrivateKeySignCancel = Callable[[], None]
PrivateKeySignOnComplete = Callable[[bytes | Exception], None]
CustomPrivateKeySign = Callable[
    [bytes, PrivateKeySignatureAlgorithm, PrivateKeySignOnComplete], bytes | PrivateKeySignCancel
]


def ssl_channel_credentials_with_custom_signer(
    *, private_key_sign_fn: Any, root_certificates: bytes | None = None, certificate_chain: bytes
) -> Any:
    """TLS with a private key that is elsewhere: not here."""
    raise NotImplementedError("a custom signer is not part of puregrpc-grpc: Python's ssl signs with keys it has alone")


_used: set[str] = set()
"""The experimental functions that somebody was warned of."""


def experimental_api(f: Callable[..., Any]) -> Callable[..., Any]:
    """Says of a function that it may change, with a warning when it is used first."""

    @functools.wraps(f)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        if f.__name__ not in _used:
            _used.add(f.__name__)
            warnings.warn(
                f"{f.__name__!r} is an experimental API. It is subject to change or removal between minor releases. "
                "Proceed with caution.",
                ExperimentalApiWarning,
                stacklevel=2,
            )
        return f(*args, **kwargs)

    return wrapper


unary_unary = experimental_api(_simple_stubs.unary_unary)
unary_stream = experimental_api(_simple_stubs.unary_stream)
stream_unary = experimental_api(_simple_stubs.stream_unary)
stream_stream = experimental_api(_simple_stubs.stream_stream)


def wrap_server_method_handler(wrapper: Callable[..., Any], handler: Any) -> Any:
    """A handler whose function is wrapped; None for None."""
    if not handler:
        return None
    streams = ("stream" if each else "unary" for each in (handler.request_streaming, handler.response_streaming))
    name = "_".join(streams)
    behavior = wrapper(getattr(handler, name))
    if hasattr(handler, "_replace"):
        return handler._replace(**{name: behavior})
    wrapped = copy.copy(handler)
    setattr(wrapped, name, behavior)
    return wrapped


def __getattr__(name: str) -> Any:
    if name in ("aio", "gevent", "eventlet", "session_cache"):
        return importlib.import_module(f"grpc.experimental.{name}")
    raise AttributeError(f"module 'grpc.experimental' has no attribute {name!r}")
