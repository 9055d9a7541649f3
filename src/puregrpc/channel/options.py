"""The options of a channel, checked and completed, the same in every world."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypedDict, get_args

from puregrpc._version import __version__
from puregrpc.channel.backends.environment import EnvironmentProxy, check_environment_proxy, environment_proxy
from puregrpc.channel.backends.proxy import Proxy, parse_proxy
from puregrpc.channel.details import CallCredentials, CallDetails, MetadataLike, metadata_of
from puregrpc.channel.service_config.config import LoadBalancing, MethodConfig, MethodConfigs, ServiceConfig
from puregrpc.channel.service_config.policies import HedgingPolicy, RetryPolicy, RetryThrottling
from puregrpc.channel.target import Target, parse_target
from puregrpc.errors import InvalidArgument
from puregrpc.wire import DEFAULT_ENGINE, EngineName
from puregrpc.wire.connection import ConnectionConfig, Metadata, Request
from puregrpc.wire.limits import CLIENT_MAX_HEADER_LIST_SIZE, CONNECTION_MEMORY, DEFAULT_MAX_MESSAGE_SIZE

if TYPE_CHECKING:
    import ssl

    from puregrpc.kernel.network.streams import ByteStream
    from puregrpc.kernel.network.tap import Tap
    from puregrpc.transport import TlsOptions

__all__ = [
    "DEFAULT_ENGINE",
    "ChannelKeywords",
    "ChannelOptions",
    "Connector",
    "Method",
    "channel_options",
    "check_secure",
    "path_of",
]

Connector = Callable[[], Awaitable["ByteStream"]]
"""Makes a connection to the server, in place of the channel."""

USER_AGENT = f"grpc-python-puregrpc/{__version__}"
"""PROTOCOL-HTTP2, "User Agents": grpc-LANGUAGE-VARIANT/VERSION."""


class HasPath(Protocol):
    """What says where a method is. Its path is sent as it is, of whatever form."""

    @property
    def path(self) -> str:
        """The :path of the method's calls."""


Method = str | HasPath
"""The name of a method, its MethodDescriptor, or anything else that has a path."""


class ChannelKeywords(TypedDict, total=False):
    """The options of a channel, as keywords. Sizes are bytes, times are seconds."""

    tls: TlsOptions | bool | None
    """None or False for plaintext, True for TLS with the system's roots, or `TlsOptions`."""
    authority: str | None
    """The :authority of requests, in place of the target's."""
    max_receive_message_size: int
    """4 MiB by default."""
    max_send_message_size: int
    max_header_list_size: int
    """The most metadata, in bytes, that is taken at once: headers, or trailers with a status and its details. 256 KiB
    by default, 16 MiB at most. What exceeds it ends the call with RESOURCE_EXHAUSTED (see `ConnectionConfig`)."""
    compression: str | None
    """The encoding of requests, such as ``"gzip"``."""
    content_subtype: str
    """What the messages are, where they are not protobuf: "json" makes ``application/grpc+json``."""
    keepalive_time: float | None
    """Send a PING after so long without a sign of life (gRFC A8; TCP_USER_TIMEOUT goes with it, A18)."""
    keepalive_timeout: float
    """How long it may stay unanswered; 20 s by default."""
    keepalive_without_calls: bool
    connect_timeout: float
    """For one attempt, the HTTP/2 handshake included; 20 s by default."""
    wait_for_ready: bool
    """The default of calls."""
    load_balancing: LoadBalancing
    """``pick_first`` (one connection, the default) or ``round_robin`` (one to each address, calls in turn). What the
    service config says goes before this, and before ``retry``, ``hedging``, ``retry_throttling``, ``wait_for_ready``
    and ``health_service``."""
    health_service: str | None
    """With ``round_robin``, use a server only while it says that this service (empty: the server as a whole) is SERVING
    (gRFC A17); a server without a health service is used."""
    interceptors: Sequence[Any]
    """`Interceptor` objects around each call, the outermost first (`BlockingInterceptor` for a blocking channel)."""
    metadata: MetadataLike | None
    """Goes with every call."""
    credentials: CallCredentials | None
    """Asked for metadata before each call, and refused on plaintext unless ``allow_plaintext_credentials``."""
    allow_plaintext_credentials: bool
    secret_names: Sequence[str]
    """Metadata sent never indexed (RFC 7541, section 7.1.3); by default authorization and cookie."""
    user_agent: str | None
    """Is put in front of the library's own."""
    secondary_user_agent: str | None
    """Is put behind it."""
    whole_user_agent: str | None
    """Stands in its place, and in that of the two others."""
    engine: EngineName | None
    proxy: str | None
    """``http://[user:password@]host:port``, asked with CONNECT (gRFC A1)."""
    proxy_headers: Mapping[str, str] | None
    """Go to the proxy with CONNECT."""
    environment_proxy: EnvironmentProxy
    """Where there is no ``proxy``: whether the first of ``grpc_proxy``, ``https_proxy`` and ``http_proxy`` that the
    environment has is used, but for hosts in ``no_grpc_proxy`` or else ``no_proxy``. ``"remote"``, the default: for all
    but this machine (localhost, 127.0.0.0/8, ::1). ``"always"``: as grpcio does it, for this machine too.
    ``"never"``."""
    retry: RetryPolicy | None
    """Make failed calls again (gRFC A6); calls that the server did not begin are retried in any case."""
    hedging: HedgingPolicy | None
    """In place of ``retry``: make calls several times at once, and take the first answer (gRFC A6)."""
    retry_throttling: RetryThrottling | None
    """Stop retries and hedging while most calls fail; None: they go on."""
    enable_retries: bool
    """False: no policy, those of the service config included, has calls made again or several times."""
    service_config: ServiceConfig | Mapping[str, Any] | str | None
    """What the service's owner says of its methods: JSON (grpc/service_config.proto) as text or as a dict, or a
    `ServiceConfig`. See `parse_service_config`."""
    tap: Tap | None
    """Hears every byte of every connection."""
    connector: Connector | None
    """Makes a connection's byte stream in place of connecting to the target (not with ``round_robin``)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelOptions:
    """The options of a channel, checked."""

    tls: TlsOptions | None
    tls_context: ssl.SSLContext | None
    authority: str
    connection: ConnectionConfig
    connect_timeout: float
    methods: MethodConfigs
    """What holds for the calls of each method."""
    compression: str
    content_subtype: str
    metadata: Metadata
    interceptors: tuple[Any, ...]
    credentials: CallCredentials | None
    allow_plaintext_credentials: bool
    engine: EngineName
    load_balancing: LoadBalancing
    shuffle_addresses: bool
    health_service: str | None
    proxy: Proxy | None
    retry_throttling: RetryThrottling | None
    tap: Tap | None
    connector: Connector | None
    busy_poll: float

    def request(self, path: str, metadata: Metadata = (), compression: str | None = None) -> Request:
        """The head of a call, with ``metadata`` behind the channel's."""
        return Request(
            path,
            self.authority,
            (*self.metadata, *metadata),
            encoding=self.compression if compression is None else compression,
            content_subtype=self.content_subtype,
            max_receive_message_size=self.methods.of(path).max_response_message_size,
        )

    def details(
        self,
        path: str,
        metadata: MetadataLike | None = None,
        timeout: float | None = None,
        wait_for_ready: bool | None = None,
        compression: str | None = None,
        credentials: CallCredentials | None = None,
    ) -> CallDetails:
        """The options of one call, completed by what holds for its method."""
        if wait_for_ready is None:
            wait_for_ready = self.methods.of(path).wait_for_ready is True
        return CallDetails(path, metadata_of(metadata), timeout, wait_for_ready, compression, credentials)


def channel_options(
    target: str,
    *,
    tls: TlsOptions | bool | None = None,
    authority: str | None = None,
    max_receive_message_size: int | None = None,
    max_send_message_size: int = 2**31 - 1,
    max_header_list_size: int = CLIENT_MAX_HEADER_LIST_SIZE,
    compression: str | None = None,
    content_subtype: str = "",
    keepalive_time: float | None = None,
    keepalive_timeout: float = 20.0,
    keepalive_without_calls: bool = False,
    connect_timeout: float = 20.0,
    wait_for_ready: bool = False,
    load_balancing: LoadBalancing | None = None,
    health_service: str | None = None,
    interceptors: Sequence[Any] = (),
    metadata: MetadataLike | None = None,
    credentials: CallCredentials | None = None,
    allow_plaintext_credentials: bool = False,
    secret_names: Sequence[str] = ("authorization", "cookie"),
    user_agent: str | None = None,
    secondary_user_agent: str | None = None,
    whole_user_agent: str | None = None,
    engine: EngineName | None = None,
    proxy: str | None = None,
    proxy_headers: Mapping[str, str] | None = None,
    environment_proxy: EnvironmentProxy = "remote",
    retry: RetryPolicy | None = None,
    hedging: HedgingPolicy | None = None,
    retry_throttling: RetryThrottling | None = None,
    enable_retries: bool = True,
    service_config: ServiceConfig | Mapping[str, Any] | str | None = None,
    tap: Tap | None = None,
    connector: Connector | None = None,
    busy_poll: float = 0.0,
) -> tuple[Target, ChannelOptions]:
    """Check the options that `ChannelKeywords` describes. Raises InvalidArgument that names what is wrong."""
    parsed = parse_target(target)
    config = _service_config(service_config)
    if load_balancing not in (None, "pick_first", "round_robin"):
        raise InvalidArgument(f"no load balancing {load_balancing!r}: there are 'pick_first' and 'round_robin'")
    load_balancing = config.load_balancing or load_balancing or "pick_first"
    if engine is not None and engine not in get_args(EngineName):
        raise InvalidArgument(f"no engine {engine!r}: there are {' and '.join(map(repr, get_args(EngineName)))}")
    if proxy is not None and (load_balancing != "pick_first" or not parsed.port):
        raise InvalidArgument("a proxy goes with a host and port, and with the load balancing 'pick_first'")
    check_environment_proxy(environment_proxy)
    if connector is not None and load_balancing != "pick_first":
        raise InvalidArgument("a connector goes with the load balancing 'pick_first'")
    if health_service is not None and load_balancing != "round_robin":
        raise InvalidArgument("health_service goes with the load balancing 'round_robin' (gRFC A17)")
    tls_options = _tls_options(tls)
    methods = MethodConfigs(
        config.methods,
        MethodConfig(wait_for_ready=wait_for_ready, retry=retry, hedging=hedging),
        attempts=enable_retries,
        max_send_message_size=max_send_message_size,
        max_receive_message_size=max_receive_message_size,
    )
    if max_receive_message_size is None:
        max_receive_message_size = DEFAULT_MAX_MESSAGE_SIZE
    options = ChannelOptions(
        tls=tls_options,
        tls_context=None if tls_options is None else tls_options.client_context(),
        authority=parsed.authority if authority is None else authority,
        connection=ConnectionConfig(
            max_receive_message_size=max_receive_message_size,
            max_send_message_size=max_send_message_size,
            max_header_list_size=max_header_list_size,
            connection_memory=max(CONNECTION_MEMORY, 2 * methods.largest_response),
            scheme="http" if tls_options is None else "https",
            user_agent=_user_agent(user_agent, secondary_user_agent, whole_user_agent),
            secret_names=tuple(secret_names),
            keepalive_time=keepalive_time,
            keepalive_timeout=keepalive_timeout,
            keepalive_without_calls=keepalive_without_calls,
        ),
        connect_timeout=connect_timeout,
        methods=methods,
        compression=compression or "identity",
        content_subtype=content_subtype,
        metadata=metadata_of(metadata),
        interceptors=tuple(interceptors),
        credentials=credentials,
        allow_plaintext_credentials=allow_plaintext_credentials,
        engine=engine or DEFAULT_ENGINE,
        load_balancing=load_balancing,
        shuffle_addresses=config.shuffle_addresses,
        health_service=_health_service(load_balancing, config, health_service),
        proxy=_proxy(parsed, proxy, proxy_headers, "never" if connector is not None else environment_proxy),
        retry_throttling=config.retry_throttling or retry_throttling,
        tap=tap,
        connector=connector,
        busy_poll=busy_poll,
    )
    options.connection.check_header_list_size()
    return parsed, options


def _proxy(
    target: Target, url: str | None, headers: Mapping[str, str] | None, environment: EnvironmentProxy
) -> Proxy | None:
    return environment_proxy(target, environment) if url is None else parse_proxy(url, headers)


def _user_agent(primary: str | None, secondary: str | None, whole: str | None) -> str:
    for name, value in (("user_agent", primary), ("secondary_user_agent", secondary), ("whole_user_agent", whole)):
        if value is not None and not (value.isascii() and value.isprintable()):
            raise InvalidArgument(f"{name} is {value!r}: printable ASCII is expected")
    if whole is not None:
        return whole
    return " ".join(part for part in (primary, USER_AGENT, secondary) if part)


def _service_config(given: ServiceConfig | Mapping[str, Any] | str | None) -> ServiceConfig:
    if given is None:
        return ServiceConfig()
    if isinstance(given, ServiceConfig):
        return given
    from puregrpc.channel.service_config.reading import parse_service_config  # most channels have none

    return parse_service_config(given)


def _health_service(load_balancing: LoadBalancing, config: ServiceConfig, keyword: str | None) -> str | None:
    """The service whose health is watched: gRFC A17 leaves that to policies other than pick_first."""
    if load_balancing == "pick_first":
        return None
    return keyword if config.health_service is None else config.health_service


def _tls_options(tls: TlsOptions | bool | None) -> TlsOptions | None:
    if tls is True:
        from puregrpc.transport import TlsOptions  # plaintext needs no ssl, which some builds of Python lack

        return TlsOptions()
    return tls or None


def check_secure(options: ChannelOptions) -> None:
    """Raise InvalidArgument if call credentials would be sent in plaintext against the user's will."""
    if options.tls is None and not options.allow_plaintext_credentials:
        raise InvalidArgument(
            "call credentials would be sent in plaintext: use TLS, or allow_plaintext_credentials=True"
        )


def path_of(method: Method) -> str:
    """The :path of a method. Raises InvalidArgument if a name has no service in it."""
    if not isinstance(method, str):
        return method.path
    path = method if method.startswith("/") else f"/{method}"
    if path.count("/") < 2:
        raise InvalidArgument(f"{method!r} is not a method: /pkg.Service/Method is expected")
    return path
