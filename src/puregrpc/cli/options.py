"""The options that commands share: how to connect, where the schema comes from, what goes with calls."""

from __future__ import annotations

import base64
import binascii
import functools
import traceback
import warnings
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, TypeVar

import click

from puregrpc.cli.output import RPC_EXIT_STATUS, describe_rpc_error, note, progress
from puregrpc.errors import InvalidArgument, RpcError, SchemaError

if TYPE_CHECKING:
    from puregrpc.channel import Channel, ChannelKeywords
    from puregrpc.channel.options import Connector
    from puregrpc.codec import Codec
    from puregrpc.kernel import Kernel
    from puregrpc.kernel.network.tap import Tap
    from puregrpc.proto.descriptors import FileDescriptor
    from puregrpc.schema import Registry
    from puregrpc.services import ReflectionClient, TypesOnDemand
    from puregrpc.transport import TlsOptions

__all__ = [
    "Command",
    "ConnectionOptions",
    "SchemaOptions",
    "connection_options",
    "debug_option",
    "metadata_of",
    "request_options",
    "schema_options",
    "tell_rpc_error",
]

F = TypeVar("F", bound=Callable[..., Any])
T = TypeVar("T")


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
        return metadata_of(self.header, "-H")

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
        from puregrpc.transport import InsecureTlsWarning, TlsOptions

        if self.insecure:  # who asks for it knows
            warnings.simplefilter("ignore", InsecureTlsWarning)
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
        connector: Connector | None = None,
    ) -> AsyncIterator[Channel]:
        """A channel to the target, connected. Raises ConnectError."""
        from puregrpc.channel import open_channel

        address, keywords = self.channel_options(target)
        keywords |= {"tap": tap, "connector": connector}
        async with open_channel(address, **keywords) as channel:
            await channel.connect()
            yield channel

    def run(self, target: str, function: Callable[[Channel], Coroutine[Any, Any, T]]) -> T:
        """What a coroutine function makes of a channel to the target. It blocks: no event loop has to be loaded.

        Raises ConnectError if there is no connection.
        """
        return self.run_with_kernel(target, lambda _kernel, channel: function(channel))

    def run_with_kernel(self, target: str, function: Callable[[Kernel, Channel], Coroutine[Any, Any, T]]) -> T:
        """As `run`, for a function that takes the channel's kernel as well."""
        from puregrpc.channel import Channel
        from puregrpc.channel.core import ChannelCore
        from puregrpc.channel.options import channel_options
        from puregrpc.kernel import ThreadKernel

        address, keywords = self.channel_options(target)
        kernel = ThreadKernel()
        core = ChannelCore(kernel, *channel_options(address, **keywords))
        channel = Channel.over(core)
        try:
            kernel.run(channel.connect())
            return kernel.run(function(kernel, channel))
        finally:
            kernel.run(core.close())
            kernel.run(kernel.close())

    def channel_options(self, target: str) -> tuple[str, ChannelKeywords]:
        """The address and options of a channel to the target."""
        address, enabled = self.address(target)
        return address, {
            "tls": self.tls(enabled=enabled),
            "authority": self.authority,
            "max_receive_message_size": self.max_message_size,
            "max_header_list_size": self.max_header_list_size,
            "connect_timeout": self.connect_timeout,
            "metadata": self.metadata(),
            "user_agent": self.user_agent,
            "engine": "fast" if self.engine == "fast" else "h2" if self.engine == "h2" else None,
            "proxy": self.proxy,
            "proxy_headers": dict(_pair(text, "--proxy-header") for text in self.proxy_header) or None,
        }


@dataclass(frozen=True, slots=True)
class SchemaOptions:
    """Where the schema comes from: .proto files, descriptor sets, or else the server's reflection."""

    proto: tuple[str, ...]
    import_path: tuple[str, ...]
    protoset: tuple[str, ...]
    reflect_header: tuple[str, ...] = ()
    protoset_out: str | None = None
    proto_out_dir: str | None = None

    @property
    def is_given(self) -> bool:
        """There are files, so that no server is asked."""
        return bool(self.proto or self.protoset)

    def metadata(self) -> tuple[tuple[str, str | bytes], ...]:
        """The metadata of ``--reflect-header``."""
        return metadata_of(self.reflect_header, "--reflect-header")

    def load_files(self, registry: Registry) -> None:
        """Load the files that were named. Raises CompileError or SchemaError."""
        from puregrpc.cli.schema_files import load_schema_files

        with progress("compiling"):
            load_schema_files(registry, proto=self.proto, import_path=self.import_path, protoset=self.protoset)

    def on_demand(self, channel: Channel, registry: Registry) -> TypesOnDemand | None:
        """What asks the server for types that messages turn out to need; None where files say what there is."""
        if self.is_given:
            return None
        from puregrpc.services import TypesOnDemand

        return TypesOnDemand(channel, registry, metadata=self.metadata())

    @property
    def is_written(self) -> bool:
        """The schema is to be written to files."""
        return bool(self.protoset_out or self.proto_out_dir)

    def write(self, files: Iterable[FileDescriptor | None]) -> None:
        """Write the files and all that they import, if that was asked for."""
        if self.is_written:
            from puregrpc.cli.schema_files import write_schema

            for written in write_schema(filter(None, files), protoset=self.protoset_out, folder=self.proto_out_dir):
                note(f"wrote {written}")

    @asynccontextmanager
    async def open_reflection(self, channel: Channel, doing: str) -> AsyncIterator[ReflectionClient]:
        """The server's reflection; ``doing`` is shown on a terminal.

        Raises SchemaError if the server has none, or refuses.
        """
        from puregrpc.services import open_reflection
        from puregrpc.wire.status import Status, StatusCode

        try:
            with progress(doing):
                async with open_reflection(channel, metadata=self.metadata()) as reflection:
                    yield reflection
        except RpcError as error:
            if error.code == StatusCode.UNIMPLEMENTED:
                text = "the server has no reflection: give the schema with --proto FILE or --protoset FILE"
            else:
                text = f"the server's reflection: {Status(error.code).name} ({int(error.code)}): {error.message}"
            raise SchemaError(text) from error

    async def load(self, channel: Channel, registry: Registry, symbol: str) -> list[str]:
        """Load what declares ``symbol``, or with "" all services; returns the names that were loaded.

        Raises SchemaError if neither files nor the server know it.
        """
        if self.is_given:
            self.load_files(registry)
            return [symbol] if symbol else [service.full_name for service in registry.services]
        services: list[str] = []
        try:
            async with self.open_reflection(channel, "asking the server for its schema") as reflection:
                try:
                    return await reflection.load(registry, [symbol] if symbol else None)
                except SchemaError:
                    if not symbol:
                        raise
                    services = await reflection.list_services()
                    raise
        except SchemaError as error:
            if not services:
                raise
            raise SchemaError(f"{symbol}: {error}{_near(symbol, services)}") from None


def _near(symbol: str, services: Sequence[str]) -> str:
    """A question with the services of the server that have the symbol's last name, or a like one.

    Of what is one of them, or inside one, something else is wrong than the name.
    """
    if any(symbol == name or symbol.startswith((f"{name}.", f"{name}/")) for name in services):
        return ""
    from difflib import get_close_matches

    last = symbol.rpartition(".")[2].lower()
    near = [name for name in services if name.rpartition(".")[2].lower() == last]
    near = near or get_close_matches(symbol, services, n=3, cutoff=0.7)
    return f"; did you mean {' or '.join(near[:3])}?" if near else ""


def _pair(text: str, option: str) -> tuple[str, str]:
    name, colon, value = text.partition(":")
    if not colon or not name.strip():
        raise InvalidArgument(f"{option} {text!r} is not NAME: VALUE")
    return name.strip(), value.strip()


def metadata_of(texts: Sequence[str], option: str) -> tuple[tuple[str, str | bytes], ...]:
    """The metadata of an option's values, ``NAME: VALUE``; values of names that end in -bin are base64."""
    return tuple(_metadata(text, option) for text in texts)


def _metadata(text: str, option: str) -> tuple[str, str | bytes]:
    name, value = _pair(text, option)
    name = name.lower()
    if not name.endswith("-bin"):
        return name, value
    try:
        return name, base64.b64decode(value + "=" * (-len(value) % 4), validate=True)
    except (binascii.Error, ValueError):
        raise InvalidArgument(f"{option} {text!r}: the value of a name that ends in -bin is base64") from None


class Command(click.Command):
    """Says what is meant where a long option has only one dash, as in Go's programs."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        for text, meant in self._one_dashed(args):
            raise click.NoSuchOption(text, possibilities=[meant], ctx=ctx)
        return super().parse_args(ctx, args)

    def _one_dashed(self, args: Sequence[str]) -> Iterator[tuple[str, str]]:
        options = {name: option for option in self.params if isinstance(option, click.Option) for name in option.opts}
        before = ""
        for text in args:
            if text == "--":
                return
            option = options.get(before)
            name = text.partition("=")[0]
            meant = f"--{GRPCURL_NAMES.get(name[1:], name[1:])}"
            is_value = option is not None and not option.is_flag
            if not is_value and len(name) > 2 and name[1] != "-" and text[0] == "-" and meant in options:
                yield name, meant
            before = "" if is_value else text


GRPCURL_NAMES = {"max-msg-sz": "max-message-size", "msg-template": "template"}
"""What grpcurl's options are called here, where it is something else."""


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
    click.option("--max-message-size", type=click.IntRange(min=0), default=4 << 20, metavar="BYTES",
                 show_default=True, help="The largest message that is received."),
    click.option("--max-header-list-size", type=click.IntRange(1, 16 << 20), default=256 << 10, metavar="BYTES",
                 show_default=True,
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
    click.option("--reflect-header", metavar="'NAME: VALUE'", multiple=True,
                 help="Metadata of the questions for the schema alone; may be repeated."),
    click.option("--protoset-out", metavar="FILE", help="Write the schema of what is asked for to a descriptor set."),
    click.option("--proto-out-dir", metavar="FOLDER", help="Write it to .proto files below this folder."),
)  # fmt: skip


REQUEST = (
    click.option("--data", "-d", metavar="TEXT",
                 help="The requests: JSON values; @FILE reads a file, @ standard input."),
    click.option("--format", type=click.Choice(["json", "text"]), default="json", show_default=True,
                 help="What the requests are: JSON, or protobuf text format with 0x1e between messages."),
    click.option("--timeout", "-t", "--max-time", type=float, metavar="SECONDS", help="The deadline of the call."),
    click.option("--compression", type=click.Choice(["gzip", "deflate", "zstd"]), help="Compress the requests."),
    click.option("--rpc-header", metavar="'NAME: VALUE'", multiple=True,
                 help="Metadata of the call, but not of reflection; may be repeated."),
)  # fmt: skip


def request_options(function: F) -> F:
    """The options that say what a call sends."""
    for option in reversed(REQUEST):
        function = option(function)
    return function


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


def tell_rpc_error(error: RpcError, codec: Codec) -> int:
    """Say how a call ended, with the details that ``codec`` can tell; returns the exit status."""
    if click.get_current_context().meta.get(DEBUG):
        traceback.print_exception(error)
    describe_rpc_error(error, codec)
    return RPC_EXIT_STATUS + error.code
