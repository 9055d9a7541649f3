"""The options that commands share: how to connect, where the schema comes from, what goes with calls."""

from __future__ import annotations

import base64
import binascii
import functools
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, fields
from difflib import get_close_matches
from typing import Any, TypeVar

import click

from puregrpc.channel import Channel, open_channel
from puregrpc.cli.output import progress
from puregrpc.cli.schema_files import load_schema_files
from puregrpc.errors import InvalidArgument, RpcError, SchemaError
from puregrpc.kernel.network.tap import Tap
from puregrpc.schema import Registry
from puregrpc.services import TypesOnDemand, open_reflection
from puregrpc.transport import TlsOptions
from puregrpc.wire.limits import CLIENT_MAX_HEADER_LIST_SIZE, LARGEST_HEADER_LIST_SIZE
from puregrpc.wire.status import StatusCode

__all__ = [
    "ConnectionOptions",
    "SchemaOptions",
    "connection_options",
    "debug_option",
    "schema_options",
    "wants_traceback",
]

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class ConnectionOptions:
    """How to connect, and the metadata that goes with every call."""

    plaintext: bool
    insecure: bool
    cacert: str | None
    cert: str | None
    key: str | None
    servername: str | None
    authority: str | None
    proxy: str | None
    proxy_header: tuple[str, ...]
    connect_timeout: float
    max_message_size: int
    max_header_list_size: int
    header: tuple[str, ...]
    user_agent: str | None
    engine: str | None

    def metadata(self) -> tuple[tuple[str, str | bytes], ...]:
        """The metadata of ``-H``; values of names that end in -bin are base64."""
        return tuple(_metadata(text) for text in self.header)

    def address(self, target: str) -> tuple[str, bool]:
        """The target without http:// or https://, and whether it speaks TLS."""
        for prefix, tls in (("http://", False), ("https://", True)):
            if target.startswith(prefix):
                rest = target[len(prefix) :].rstrip("/")
                has_port = rest.rpartition(":")[2].isdecimal()
                return (rest if has_port else f"{rest}:{443 if tls else 80}"), tls
        return target, not self.plaintext

    def tls(self, *, enabled: bool) -> TlsOptions | None:
        """The TLS options, None for plaintext."""
        if not enabled:
            wrong = next((name for name in ("insecure", "cacert", "cert", "key") if getattr(self, name)), None)
            if wrong is not None:
                raise InvalidArgument(f"--{wrong} is about TLS, and the connection is in plaintext")
            return None
        return TlsOptions(
            root_certificates=self.cacert,
            certificate_chain=self.cert,
            private_key=self.key,
            server_name=self.servername,
            verify=not self.insecure,
        )

    @asynccontextmanager
    async def open(
        self,
        target: str,
        *,
        tap: Tap | None = None,
        tls: TlsOptions | None = None,
        authority: str | None = None,
    ) -> AsyncIterator[Channel]:
        """A channel to the target; ``tls`` and ``authority`` are in place of those that the options say."""
        address, enabled = self.address(target)
        async with open_channel(
            address,
            tls=tls or self.tls(enabled=enabled),
            authority=authority or self.authority,
            max_receive_message_size=self.max_message_size,
            max_header_list_size=self.max_header_list_size,
            connect_timeout=self.connect_timeout,
            metadata=self.metadata(),
            user_agent=self.user_agent,
            engine="fast" if self.engine == "fast" else "h2" if self.engine == "h2" else None,
            proxy=self.proxy,
            proxy_headers=dict(_pair(text, "--proxy-header") for text in self.proxy_header) or None,
            tap=tap,
        ) as channel:
            yield channel


@dataclass(frozen=True, slots=True)
class SchemaOptions:
    """Where the schema comes from: .proto files, descriptor sets, or else the server's reflection."""

    proto: tuple[str, ...]
    import_path: tuple[str, ...]
    protoset: tuple[str, ...]

    @property
    def is_given(self) -> bool:
        """There are files, so that no server is asked."""
        return bool(self.proto or self.protoset)

    def load_files(self, registry: Registry) -> None:
        """Load the files that were named. Raises CompileError or SchemaError."""
        with progress("compiling"):
            load_schema_files(registry, proto=self.proto, import_path=self.import_path, protoset=self.protoset)

    def on_demand(self, channel: Channel, registry: Registry) -> TypesOnDemand | None:
        """What asks the server for types that messages turn out to need; None where files say what there is."""
        return None if self.is_given else TypesOnDemand(channel, registry)

    async def load(self, channel: Channel, registry: Registry, symbol: str) -> None:
        """Load what declares ``symbol``. Raises SchemaError if neither files nor the server know it."""
        if self.is_given:
            self.load_files(registry)
            return
        services: list[str] = []
        try:
            with progress("asking the server for its schema"):
                async with open_reflection(channel) as reflection:
                    try:
                        await reflection.load(registry, [symbol])
                    except SchemaError:
                        services = await reflection.list_services()
                        raise
        except RpcError as error:
            raise no_reflection(error) from None
        except SchemaError as error:
            raise SchemaError(f"{symbol}: {error}{_near(symbol, services)}") from None


def _near(symbol: str, services: Sequence[str]) -> str:
    """A question with the services of the server that have the symbol's last name, or a like one.

    Of what is one of them, or inside one, something else is wrong than the name.
    """
    if any(symbol == name or symbol.startswith((f"{name}.", f"{name}/")) for name in services):
        return ""
    last = symbol.rpartition(".")[2].lower()
    near = [name for name in services if name.rpartition(".")[2].lower() == last]
    near = near or get_close_matches(symbol, services, n=3, cutoff=0.7)
    return f"; did you mean {' or '.join(near[:3])}?" if near else ""


def no_reflection(error: RpcError) -> RpcError | SchemaError:
    """What to say when reflection fails: that there is none, or what went wrong."""
    if error.code == StatusCode.UNIMPLEMENTED:
        return SchemaError("the server has no reflection: give the schema with --proto FILE or --protoset FILE")
    return error


def _pair(text: str, option: str) -> tuple[str, str]:
    name, colon, value = text.partition(":")
    if not colon or not name.strip():
        raise InvalidArgument(f"{option} {text!r} is not NAME: VALUE")
    return name.strip(), value.strip()


def _metadata(text: str) -> tuple[str, str | bytes]:
    name, value = _pair(text, "-H")
    name = name.lower()
    if not name.endswith("-bin"):
        return name, value
    try:
        return name, base64.b64decode(value + "=" * (-len(value) % 4), validate=True)
    except (binascii.Error, ValueError):
        raise InvalidArgument(f"-H {text!r}: the value of a name that ends in -bin is base64") from None


CONNECTION = (
    click.option("--plaintext", "-p", is_flag=True, help="No TLS."),
    click.option("--insecure", "-k", is_flag=True, help="TLS, but take any certificate."),
    click.option("--cacert", metavar="FILE", help="Trust the certificates in this file (PEM)."),
    click.option("--cert", metavar="FILE", help="This client's certificate (PEM)."),
    click.option("--key", metavar="FILE", help="The private key of --cert (PEM)."),
    click.option("--servername", metavar="NAME", help="The name to find in the server's certificate."),
    click.option("--authority", metavar="NAME", help="The :authority of requests."),
    click.option("--proxy", metavar="URL", envvar="GRPC_PROXY", help="Connect through this proxy (http://HOST:PORT)."),
    click.option("--proxy-header", metavar="'NAME: VALUE'", multiple=True, help="Goes to the proxy; may be repeated."),
    click.option("--connect-timeout", type=click.FloatRange(min=0, min_open=True), default=10.0, metavar="SECONDS",
                 show_default=True, help="For connecting."),
    click.option("--max-message-size", type=click.IntRange(min=0), default=4 << 20, metavar="OCTETS",
                 show_default=True, help="The largest message that is received."),
    click.option("--max-header-list-size", type=click.IntRange(1, LARGEST_HEADER_LIST_SIZE), metavar="OCTETS",
                 default=CLIENT_MAX_HEADER_LIST_SIZE, show_default=True,
                 help="The most metadata that is received at once, trailers with error details included."),
    click.option("--header", "-H", multiple=True, metavar="'NAME: VALUE'",
                 help="Metadata of every call, reflection included; may be repeated. Base64 for names in -bin."),
    click.option("--user-agent", metavar="TEXT", help="Put in front of the user-agent."),
    click.option("--engine", type=click.Choice(["h2", "fast"]), help="The HTTP/2 engine."),
)  # fmt: skip

SCHEMA = (
    click.option("--proto", multiple=True, metavar="FILE", help="Take the schema from this .proto file."),
    click.option("--import-path", "-I", multiple=True, metavar="FOLDER", help="Where --proto and its imports are."),
    click.option("--protoset", multiple=True, metavar="FILE", help="Take the schema from this descriptor set."),
)


def _grouped(name: str, kind: type[Any], options: tuple[Callable[[F], F], ...]) -> Callable[[F], F]:
    """A decorator that adds options and gives them to the command as one argument."""

    def decorate(function: F) -> F:
        @functools.wraps(function)
        def command(**values: Any) -> Any:
            own = {field.name: values.pop(field.name) for field in fields(kind)}
            return function(**values, **{name: kind(**own)})

        decorated: Any = command
        for option in reversed(options):
            decorated = option(decorated)
        result: F = decorated
        return result

    return decorate


connection_options = _grouped("connection", ConnectionOptions, CONNECTION)
schema_options = _grouped("schema", SchemaOptions, SCHEMA)


DEBUG = "puregrpc.debug"


def _remember_debug(context: click.Context, _parameter: click.Parameter, value: bool) -> None:
    context.meta[DEBUG] = value


def debug_option(function: F) -> F:
    """``--debug``: errors come with their traceback."""
    option = click.option(
        "--debug", is_flag=True, expose_value=False, callback=_remember_debug, help="Show the traceback of errors."
    )
    return option(function)


def wants_traceback() -> bool:
    """Whether the command that runs was given --debug."""
    return bool(click.get_current_context().meta.get(DEBUG))
