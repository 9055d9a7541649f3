"""Credentials: of channels (how a connection is made), of calls (metadata that proves who calls), of servers."""

from __future__ import annotations

import contextvars
import functools
import logging
import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from grpc._client_interfaces import AuthMetadataContext, AuthMetadataPlugin, AuthMetadataPluginCallback
from grpc._codes import LocalConnectionType
from grpc._metadata import outgoing

if TYPE_CHECKING:
    from puregrpc import TlsOptions

__all__ = [
    "CallCredentials", "ChannelCredentials", "connecting_of", "ServerCertificateConfiguration", "ServerCredentials",
    "check_credentials", "access_token_call_credentials", "composite_call_credentials", "composite_channel_credentials",
    "dynamic_ssl_server_credentials", "insecure_server_credentials", "local_channel_credentials",
    "local_server_credentials", "metadata_call_credentials", "ssl_channel_credentials",
    "ssl_server_certificate_configuration", "ssl_server_credentials",
]  # fmt: skip

logger = logging.getLogger("grpc._plugin_wrapping")


class CallCredentials:
    """Metadata that goes with a call and proves who calls."""

    def __init__(self, credentials: Any) -> None:
        self._credentials: tuple[_Plugin, ...] = credentials


class ChannelCredentials:
    """How a channel connects, and what it proves of itself."""

    def __init__(self, credentials: Any) -> None:
        self._credentials: _Connecting = credentials


class ServerCredentials:
    """How a server takes connections."""

    def __init__(self, credentials: Any) -> None:
        self._credentials: _Accepting = credentials


class ServerCertificateConfiguration:
    """Certificates of a server, for `dynamic_ssl_server_credentials`."""

    def __init__(self, certificate_configuration: Any) -> None:
        self._certificate_configuration: _Certificates = certificate_configuration


class _Connecting(NamedTuple):
    """What is behind `ChannelCredentials`."""

    tls: TlsOptions | None
    plugins: tuple[_Plugin, ...] = ()
    may_carry_secrets: bool = True
    """The connection is safe enough for call credentials."""
    local: LocalConnectionType | None = None


class CompositeChannelCredentials(_Connecting):
    """What is behind `ChannelCredentials` that have call credentials, by grpcio's own names, which fake channels (those
    of pytest-grpc) ask for its plugins."""

    __slots__ = ()

    @property
    def _call_credentialses(self) -> tuple[_MetadataPluginCallCredentials, ...]:
        return tuple(_MetadataPluginCallCredentials(plugin) for plugin in self.plugins)


class _MetadataPluginCallCredentials:
    def __init__(self, plugin: _Plugin) -> None:
        self._metadata_plugin = plugin


class _Certificates(NamedTuple):
    """What is behind `ServerCertificateConfiguration`."""

    pairs: tuple[tuple[bytes, bytes], ...]
    roots: bytes | None


class _Accepting(NamedTuple):
    """What is behind `ServerCredentials`."""

    certificates: _Certificates | None
    require_client_auth: bool = False
    fetch: Callable[[], Any] | None = None
    """Asked for other certificates at each new connection."""
    local: LocalConnectionType | None = None


# -- of calls


class _ContextFields(NamedTuple):
    service_url: str
    method_name: str


class _AuthMetadataContext(_ContextFields, AuthMetadataContext):
    """A call that credentials are asked for."""


class _AuthMetadataPluginCallback(AuthMetadataPluginCallback):
    """Takes what a plugin gives, once."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._given = threading.Event()
        self._raised: Exception | None = None
        self._metadata: Any = None
        self._error: Any = None

    def __call__(self, metadata: Any, error: Any) -> None:
        with self._lock:
            if self._raised is not None:
                raise RuntimeError(f'AuthMetadataPluginCallback raised exception "{self._raised}"!')
            if self._given.is_set():
                raise RuntimeError("AuthMetadataPluginCallback invoked more than once!")
            self._metadata, self._error = metadata, error
            self._given.set()

    def fail(self, error: Exception) -> None:
        """The plugin raised."""
        with self._lock:
            self._raised = error
            if not self._given.is_set():
                self._error = error
                self._given.set()

    def get(self) -> Any:
        """Wait for what is given. Raises `PluginError`."""
        self._given.wait()
        if self._error is not None:
            raise PluginError(str(self._error))
        return self._metadata


class PluginError(Exception):
    """A plugin did not give its metadata."""


class _Plugin:
    """A plugin, which runs in the context where its credentials were made."""

    def __init__(self, plugin: Callable[..., Any], name: str) -> None:
        self._metadata_plugin = plugin
        self._context = contextvars.copy_context()
        self.name = name

    def metadata(self, service_url: str, method_name: str) -> tuple[tuple[str, str | bytes], ...]:
        """Ask it. Raises `PluginError`."""
        callback = _AuthMetadataPluginCallback()
        try:
            self._context.copy().run(self._metadata_plugin, _AuthMetadataContext(service_url, method_name), callback)
        except Exception as error:
            logger.exception('AuthMetadataPluginCallback "%s" raised exception!', self._metadata_plugin)
            callback.fail(error)
        try:
            return outgoing(callback.get())
        except (TypeError, ValueError) as error:
            raise PluginError(str(error)) from error


def metadata_call_credentials(metadata_plugin: AuthMetadataPlugin, name: str | None = None) -> CallCredentials:
    """Credentials whose metadata a plugin gives."""
    effective_name = name or getattr(metadata_plugin, "__name__", None) or type(metadata_plugin).__name__
    return CallCredentials((_Plugin(metadata_plugin, effective_name),))


def access_token_call_credentials(access_token: str) -> CallCredentials:
    """Credentials of an access token: ``authorization: Bearer TOKEN``."""

    def give(context: Any, callback: Any) -> None:
        callback((("authorization", f"Bearer {access_token}"),), None)

    return CallCredentials((_Plugin(give, "access token"),))


def composite_call_credentials(*call_credentials: CallCredentials) -> CallCredentials:
    """The metadata of several."""
    return CallCredentials(tuple(plugin for each in call_credentials for plugin in each._credentials))


# -- of channels


def _check(value: Any, kind: type[Any], name: str, error: type[Exception] = TypeError) -> None:
    if not isinstance(value, kind):
        raise error(f"{name} is {kind.__name__}, not {type(value).__name__}")


def check_credentials(value: Any, kind: type[Any], name: str) -> None:
    """Raise what grpcio does: TypeError for credentials of another kind, AttributeError for what is none."""
    _check(value, kind, name, TypeError if hasattr(value, "_credentials") else AttributeError)


NO_PEM = b"-----BEGIN NOTHING-----"
"""In the place of bytes that are no PEM, which puregrpc would take for the name of a file."""


def _pem(value: Any, name: str) -> bytes | None:
    """PEM as it was given, or None. Raises TypeError for what is no bytes, as grpcio does."""
    if value is not None:
        _check(value, bytes, name)
    if not value:
        return None
    return value if b"-----BEGIN" in value else NO_PEM


def ssl_channel_credentials(
    root_certificates: bytes | None = None, private_key: bytes | None = None, certificate_chain: bytes | None = None
) -> ChannelCredentials:
    """TLS. The arguments are PEM; without roots, those of the system, or of GRPC_DEFAULT_SSL_ROOTS_FILE_PATH."""
    from puregrpc import TlsOptions

    options = TlsOptions(
        root_certificates=_pem(root_certificates, "root_certificates"),
        certificate_chain=_pem(certificate_chain, "certificate_chain"),
        private_key=_pem(private_key, "private_key"),
    )
    return ChannelCredentials(_Connecting(options))


def local_channel_credentials(
    local_connect_type: LocalConnectionType = LocalConnectionType.LOCAL_TCP,
) -> ChannelCredentials:
    """Plaintext, for connections that do not leave the machine, and so may carry call credentials."""
    _check(local_connect_type, LocalConnectionType, "local_connect_type", AttributeError)
    return ChannelCredentials(_Connecting(None, local=local_connect_type))


def composite_channel_credentials(
    channel_credentials: ChannelCredentials, *call_credentials: CallCredentials
) -> ChannelCredentials:
    """Credentials of a channel whose calls have call credentials as well."""
    check_credentials(channel_credentials, ChannelCredentials, "channel_credentials")
    inner = channel_credentials._credentials
    plugins = tuple(plugin for each in call_credentials for plugin in each._credentials)
    return ChannelCredentials(CompositeChannelCredentials(*inner._replace(plugins=(*inner.plugins, *plugins))))


def _elsewhere(what: str, why: str) -> NotImplementedError:
    return NotImplementedError(f"{what} are not part of puregrpc-grpc: {why}")


def compute_engine_channel_credentials(call_credentials: CallCredentials) -> ChannelCredentials:
    """TLS, with call credentials. grpcio speaks ALTS instead where xDS or a balancer leads it to a backend inside
    Google's cloud; elsewhere, and here, it is TLS."""
    return composite_channel_credentials(ssl_channel_credentials(), call_credentials)


def alts_channel_credentials(service_accounts: Sequence[str] | None = None) -> Any:
    """ALTS: not here."""
    raise _elsewhere("ALTS credentials", "ALTS is spoken inside Google's cloud alone")


def alts_server_credentials() -> Any:
    """ALTS: not here."""
    raise _elsewhere("ALTS credentials", "ALTS is spoken inside Google's cloud alone")


def xds_channel_credentials(fallback_credentials: ChannelCredentials | None = None) -> Any:
    """xDS: not here."""
    raise _elsewhere("xDS credentials", "there is no xDS client")


def xds_server_credentials(fallback_credentials: ServerCredentials) -> Any:
    """xDS: not here."""
    raise _elsewhere("xDS credentials", "there is no xDS client")


# -- of servers


def ssl_server_credentials(
    private_key_certificate_chain_pairs: Sequence[tuple[bytes, bytes]],
    root_certificates: bytes | None = None,
    require_client_auth: bool = False,
) -> ServerCredentials:
    """TLS. Each pair is a private key and its certificate chain, in PEM; the first fits every client.

    With ``require_client_auth`` clients must show a certificate that ``root_certificates`` signed.
    """
    if not private_key_certificate_chain_pairs:
        raise ValueError("At least one private key-certificate chain pair is required!")
    if require_client_auth and root_certificates is None:
        raise ValueError("Illegal to require client auth without providing root certificates!")
    certificates = _certificates(private_key_certificate_chain_pairs, root_certificates)
    return ServerCredentials(_Accepting(certificates, require_client_auth))


def _certificates(pairs: Sequence[tuple[bytes, bytes]], roots: bytes | None) -> _Certificates:
    checked = []
    for key, chain in pairs:
        _check(key, bytes, "private_key")
        _check(chain, bytes, "certificate_chain")
        checked.append((key, chain))
    return _Certificates(tuple(checked), _pem(roots, "root_certificates"))


def ssl_server_certificate_configuration(
    private_key_certificate_chain_pairs: Sequence[tuple[bytes, bytes]], root_certificates: bytes | None = None
) -> ServerCertificateConfiguration:
    """Certificates of a server, as for `ssl_server_credentials`."""
    if not private_key_certificate_chain_pairs:
        raise ValueError("At least one private key-certificate chain pair is required!")
    return ServerCertificateConfiguration(_certificates(private_key_certificate_chain_pairs, root_certificates))


def dynamic_ssl_server_credentials(
    initial_certificate_configuration: ServerCertificateConfiguration,
    certificate_configuration_fetcher: Callable[[], ServerCertificateConfiguration | None],
    require_client_authentication: bool = False,
) -> ServerCredentials:
    """TLS with certificates that may change: the fetcher is asked at each new connection, and gives others or None."""
    _check(initial_certificate_configuration, ServerCertificateConfiguration, "initial_certificate_configuration")
    if not callable(certificate_configuration_fetcher):
        raise TypeError("certificate_configuration_fetcher is a function")
    initial = initial_certificate_configuration._certificate_configuration
    return ServerCredentials(_Accepting(initial, require_client_authentication, certificate_configuration_fetcher))


def connecting_of(credentials: ChannelCredentials | None) -> _Connecting | None:
    """How a channel with these credentials connects; None for those of an insecure channel. Raises AttributeError or
    TypeError, as grpcio does, for what is none: it must not mean plaintext."""
    if credentials is None:
        return None
    check_credentials(credentials, ChannelCredentials, "credentials")
    return credentials._credentials


def insecure_server_credentials() -> ServerCredentials:
    """Plaintext."""
    return ServerCredentials(_Accepting(None))


def local_server_credentials(
    local_connect_type: LocalConnectionType = LocalConnectionType.LOCAL_TCP,
) -> ServerCredentials:
    """Plaintext, for connections that do not leave the machine."""
    _check(local_connect_type, LocalConnectionType, "local_connect_type", AttributeError)
    return ServerCredentials(_Accepting(None, local=local_connect_type))


def asker(plugins: Sequence[_Plugin], host: str) -> Callable[[Any], tuple[tuple[str, str | bytes], ...]] | None:
    """What puregrpc asks for the metadata of credentials before each call to ``host``; None without plugins."""
    return functools.partial(_ask, tuple(plugins), host) if plugins else None


def _ask(plugins: tuple[_Plugin, ...], host: str, details: Any) -> tuple[tuple[str, str | bytes], ...]:
    service, _, name = details.path.removeprefix("/").rpartition("/")
    url = f"https://{host.removesuffix(':443')}/{service}"
    return tuple(pair for plugin in plugins for pair in plugin.metadata(url, name))
