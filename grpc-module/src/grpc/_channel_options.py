"""grpcio's channel options in puregrpc's words. What is not known is ignored, as grpcio does."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import puregrpc
from grpc._codes import ENCODINGS, Compression
from grpc._credentials import _Connecting
from grpc._version import __version__

if TYPE_CHECKING:
    from puregrpc.channel import ChannelKeywords

__all__ = ["by_name", "channel_keywords", "checked_options", "default_encoding", "encoding_of", "opened"]

T = TypeVar("T")

USER_AGENT = "grpc-python{}/{} grpc-puregrpc/{}"
"""As grpcio writes it: the kind and version of the interface, and what is below it."""

UNLIMITED = 2**31 - 1

WHOLE_NUMBERS = frozenset(
    (
        "grpc.enable_http_proxy", "grpc.enable_retries", "grpc.keepalive_permit_without_calls",
        "grpc.keepalive_time_ms", "grpc.keepalive_timeout_ms", "grpc.max_metadata_size",
        "grpc.max_receive_message_length", "grpc.max_send_message_length",
    )
)  # fmt: skip
"""Options that are ignored, as grpcio does, with a value that is none."""

OBJECTS = frozenset(("grpc.ssl_session_cache",))
"""Options whose value is no int and no text."""


def checked_options(options: Any) -> tuple[tuple[str, Any], ...]:
    """Options as pairs. Raises TypeError or ValueError for what is no option."""
    pairs = []
    for option in options or ():
        name, value = option
        if isinstance(name, bytes):
            name = name.decode()
        if not isinstance(name, str):
            raise TypeError(f"the name of a channel option is a str, not {name!r}")
        if isinstance(value, int) and not -(2**31) <= value < 2**31:
            raise OverflowError(f"{name}: {value} does not fit into 32 bits")
        if not isinstance(value, (str, bytes)) and not hasattr(value, "__int__") and name not in OBJECTS:
            raise TypeError(f"{name} is an int, a str or bytes, not {value!r}")
        pairs.append((name, value))
    return tuple(pairs)


def by_name(options: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    """Options by their names: of several with one name the first one counts, as in grpcio."""
    given: dict[str, Any] = {}
    for name, value in options:
        given.setdefault(name, value)
    return given


def opened(make: Callable[..., T], target: str, keywords: ChannelKeywords) -> T:
    """A channel of puregrpc. To a target that cannot be, with certificates that are none or with a service config that
    is not valid, there is one too, whose calls fail: that is how grpcio has it.

    Raises NotImplementedError for xDS.
    """
    from puregrpc import errors
    from puregrpc.channel import parse_service_config

    if target.startswith(("xds:", "google-c2p:")):
        raise NotImplementedError("xDS is not part of puregrpc-grpc: there is no xDS client")
    if target.startswith("ipv6:%5B"):  # as a peer is written
        target = target.replace("%5B", "[").replace("%5D", "]")
    config = keywords.get("service_config")
    try:
        if isinstance(config, str):
            keywords["service_config"] = parse_service_config(config)
    except errors.InvalidArgument as error:
        keywords.pop("service_config")
        keywords["credentials"] = _refusing(f"Failed to create channel to '{target}': {error}")
        keywords["allow_plaintext_credentials"] = True
        return _unconnectable(make, str(error), keywords)
    try:
        return make(target, **keywords)
    except errors.InvalidArgument as error:
        if repr(target) not in str(error) and not _is_unusable(keywords.get("tls")):
            raise
        return _unconnectable(make, str(error), keywords)


def _refusing(text: str) -> Callable[[Any], Any]:
    """What all calls are refused by, before anything is sent."""
    from puregrpc import errors

    def refuse(_: Any) -> Any:
        raise errors.RpcError(errors.StatusCode.INVALID_ARGUMENT, text)

    return refuse


def _unconnectable(make: Callable[..., T], reason: str, keywords: ChannelKeywords) -> T:
    """A channel that connects to nothing, and says why."""
    from puregrpc import errors

    def connect() -> Any:
        raise errors.ConnectError(reason)

    keywords.pop("tls", None)
    keywords["connector"] = connect
    keywords["authority"] = keywords.get("authority") or "invalid"
    keywords.pop("load_balancing", None)
    return make("passthrough:invalid:1", **keywords)


def _is_unusable(tls: Any) -> bool:
    """Whether no connection can be made with the certificates."""
    from puregrpc import errors

    try:
        if isinstance(tls, puregrpc.TlsOptions):
            tls.client_context()
    except errors.InvalidArgument:
        return True
    return False


def encoding_of(compression: Any) -> str | None:
    """The encoding of a ``grpc.Compression``; None for None."""
    return None if compression is None else ENCODINGS[Compression(compression)]


def default_encoding(given: dict[str, Any], compression: Any) -> str | None:
    """The encoding of a channel or a server: that of the option, which is ignored if it is none, or else of the
    argument."""
    algorithm = given.get("grpc.default_compression_algorithm")
    is_known = isinstance(algorithm, int) and any(algorithm == each.value for each in Compression)
    return encoding_of(algorithm if is_known else compression)


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def _agents(wanted: str, options: Sequence[tuple[str, Any]]) -> Iterator[str]:
    """The texts of an option that may come several times; what is no ASCII cannot be sent."""
    for name, value in options:
        if name == wanted and isinstance(value, (str, bytes)):
            yield _text(value).encode("ascii", "replace").decode()


def _limit(value: Any) -> int:
    return UNLIMITED if int(value) < 0 else int(value)


def channel_keywords(
    options: Sequence[tuple[str, Any]],
    credentials: _Connecting | None,
    compression: Any = None,
    *,
    on_asyncio: bool = False,
) -> ChannelKeywords:
    """The keywords of a puregrpc channel for grpcio's options, credentials and compression."""
    given = by_name((name, value) for name, value in options if isinstance(value, int) or name not in WHOLE_NUMBERS)
    keywords: ChannelKeywords = {}
    if "grpc.max_receive_message_length" in given:
        keywords["max_receive_message_size"] = _limit(given["grpc.max_receive_message_length"])
    if "grpc.max_send_message_length" in given:
        keywords["max_send_message_size"] = _limit(given["grpc.max_send_message_length"])
    if "grpc.max_metadata_size" in given:
        keywords["max_header_list_size"] = min(max(int(given["grpc.max_metadata_size"]), 4096), 16 << 20)
    _keepalive(given, keywords)
    agents = (
        *_agents("grpc.primary_user_agent", options),
        USER_AGENT.format("-asyncio" if on_asyncio else "", __version__, puregrpc.__version__),
        *_agents("grpc.secondary_user_agent", options),
    )
    keywords["whole_user_agent"] = " ".join(agent for agent in agents if agent)
    if "grpc.default_authority" in given:
        keywords["authority"] = _text(given["grpc.default_authority"])
    tls = None if credentials is None else credentials.tls
    name = given.get("grpc.ssl_target_name_override")
    if tls is not None and name:
        tls = tls.with_server_name(_text(name))
        keywords.setdefault("authority", _text(name))
    if tls is not None:
        sessions = getattr(given.get("grpc.ssl_session_cache"), "_cache", None)
        if sessions is not None:
            tls = dataclasses.replace(tls, session_cache=sessions)
        keywords["tls"] = tls
    if credentials is not None and tls is None and credentials.may_carry_secrets:
        keywords["allow_plaintext_credentials"] = True
    encoding = default_encoding(given, compression)
    if encoding is not None:
        keywords["compression"] = encoding
    if given.get("grpc.http_proxy"):
        keywords["proxy"] = _text(given["grpc.http_proxy"])
    keywords["environment_proxy"] = "always" if given.get("grpc.enable_http_proxy", 1) else "never"
    if _text(given.get("grpc.lb_policy_name", "")) == "round_robin":
        keywords["load_balancing"] = "round_robin"
    config = given.get("grpc.service_config")
    if isinstance(config, (str, bytes)):
        keywords["service_config"] = _text(config)
    if "grpc.enable_retries" in given:
        keywords["enable_retries"] = bool(given["grpc.enable_retries"])
    return keywords


def _keepalive(given: dict[str, Any], keywords: ChannelKeywords) -> None:
    time = given.get("grpc.keepalive_time_ms")
    if time is not None and 0 < int(time) < UNLIMITED:
        keywords["keepalive_time"] = int(time) / 1000
    timeout = given.get("grpc.keepalive_timeout_ms")
    if timeout is not None and 0 < int(timeout) < UNLIMITED:
        keywords["keepalive_timeout"] = int(timeout) / 1000
    if "grpc.keepalive_permit_without_calls" in given:
        keywords["keepalive_without_calls"] = bool(given["grpc.keepalive_permit_without_calls"])
