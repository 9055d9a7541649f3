"""``puregrpc trace``: a call, a capture or a conversation between others, explained octet by octet."""

from __future__ import annotations

import gc
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import trio

from puregrpc.channel import Channel
from puregrpc.channel.options import Connector
from puregrpc.channel.target import Target, parse_target
from puregrpc.cli.calling import CallOptions, find_method, load_method, make_call
from puregrpc.cli.completing import complete_method
from puregrpc.cli.middle import Encrypted, TlsFront, connect_to, forward, serve_until_cancelled
from puregrpc.cli.options import (
    Command,
    ConnectionOptions,
    SchemaOptions,
    connection_options,
    debug_option,
    metadata_of,
    request_options,
    schema_options,
)
from puregrpc.cli.output import INTERRUPTED, in_options, note, print_foreign, print_line, print_styled_lines, progress
from puregrpc.errors import ConnectError, Error, InvalidArgument
from puregrpc.kernel import Kernel
from puregrpc.kernel.network.connecting import secure
from puregrpc.kernel.network.listening import listen as listen_on
from puregrpc.kernel.network.streams import ByteStream, TappedStream
from puregrpc.kernel.ownership import open_kernel
from puregrpc.proto.descriptors import MethodDescriptor
from puregrpc.schema import Registry
from puregrpc.services import TypesOnDemand
from puregrpc.trace import Chunk, Direction, Explainer, Explanation, Recorder, Recording, explain
from puregrpc.trace.reading import read_recordings
from puregrpc.trace.reading.hexdump import NO_TIMES
from puregrpc.trace.showing.json_lines import explanation_lines
from puregrpc.trace.showing.ladder import LEAST_WIDTH, Detail, Ladder, Line
from puregrpc.trace.showing.page import html_page
from puregrpc.trace.showing.pcapng import write_pcapng
from puregrpc.trace.showing.selection import Selection, describe_recording
from puregrpc.transport import TlsOptions

if TYPE_CHECKING:
    from puregrpc.cli.live import LivePages

__all__ = ["Forms", "Middle", "trace"]

STYLES = {
    "client": "bold blue",
    "server": "bold magenta",
    "time": "dim",
    "rail": "dim",
    "frame": "bold",
    "event": "green",
    "name": "cyan",
    "value": "",
    "note": "dim",
    "rule": "dim green",
    "octets": "yellow",
    "problem": "bold red",
}
"""What the styles of a ladder look like on a terminal."""


LONGEST_WAIT_FOR_SCHEMA = 1.0
"""How long (seconds) the first octets of a client in front of a man in the middle wait for the target's schema."""


@click.command(cls=Command)
@click.argument("arguments", metavar="[TARGET METHOD]", nargs=-1, shell_complete=complete_method)
@click.option("--read", "file", metavar="FILE", help="Explain a capture: pcapng, pcap, hex dump, JSON lines; -: stdin.")
@click.option("--key-log", metavar="FILE", help="TLS keys for --read (SSLKEYLOGFILE).")
@click.option("--connection", "connections", type=int, metavar="N", multiple=True, help="Of --read: only connection N.")
@click.option("--port", "ports", type=int, metavar="N", multiple=True, help="Of --read: only connections of this port.")
@click.option("--stream", "streams", type=int, metavar="N", multiple=True, help="Of --read: only this stream.")
@click.option(
    "--method", "methods", metavar="NAME", multiple=True, help="Of --read: only calls of this method or service."
)
@click.option("--listen", metavar="ADDRESS", help="Listen here and pass everything on to --to, as a man in the middle.")
@click.option("--to", metavar="TARGET", help="Where --listen passes it on to.")
@click.option("--listen-cert", metavar="FILE", help="Certificate chain (PEM) that --listen shows: clients use TLS.")
@click.option("--listen-key", metavar="FILE", help="Its private key (PEM).")
@click.option(
    "--detail",
    type=click.Choice([d.name.lower() for d in Detail]),
    default="content",
    show_default=True,
    help="How much the ladder tells.",
)
@click.option(
    "--width",
    type=click.IntRange(min=0),
    metavar="N",
    help="Columns of the ladder; 0: as many as it takes.  [default: the terminal's, or 80]",
)
@click.option("--strict", is_flag=True, help="Of --read: exit with 1 if something is missing or wrong.")
@click.option("--web", is_flag=True, help="Show the page live, on a port of this machine, while it goes on.")
@click.option(
    "--web-port", type=click.IntRange(0, 65535), default=0, help="The port of --web.  [default: any free one]"
)
@click.option("--html", metavar="FILE", help="Write a page to click through.")
@click.option("--pcapng", metavar="FILE", help="Write a capture for Wireshark and tshark.")
@click.option("--jsonl", metavar="FILE", help="Write JSON lines, which --read takes too.")
@click.option("--json", "as_json", is_flag=True, help="JSON lines on standard output in place of the ladder.")
@request_options
@schema_options
@connection_options
@debug_option
def trace(
    arguments: tuple[str, ...],
    file: str | None,
    listen: str | None,
    connection: ConnectionOptions,
    schema: SchemaOptions,
    **options: Any,
) -> int:
    """Explain every byte of a gRPC conversation: frames, headers, messages, fields, and the rules they serve.

    \b
    puregrpc trace TARGET METHOD -d JSON         a call of this program, until its end or Ctrl-C
    puregrpc trace --read FILE                   a capture made elsewhere
    puregrpc trace --listen ADDRESS --to TARGET  what others say to each other, until Ctrl-C
    """  # fmt: skip
    form = Forms(
        schema=schema, **{name: options.pop(name) for name in ("detail", "width", "html", "pcapng", "jsonl", "as_json")}
    )
    web, web_port = options.pop("web"), options.pop("web_port")
    if web and file is not None:
        raise click.UsageError("--web shows what goes on; --html makes a page of a capture")
    strict = options.pop("strict")
    if strict and file is None:
        raise click.UsageError("--strict judges what --read reads")
    selection = Selection(**{name: options.pop(name) for name in ("connections", "ports", "streams", "methods")})
    if selection != Selection() and file is None:
        raise click.UsageError("--connection, --port, --stream and --method choose from what --read reads")
    given = [bool(arguments), file is not None, listen is not None]
    if given.count(True) != 1:
        raise click.UsageError("one of these is needed: TARGET METHOD, --read FILE, --listen ADDRESS --to TARGET")
    if file is not None:
        return _read(file, options["key_log"], form, selection, strict=strict)
    if listen is not None:
        to = options["to"]
        if to is None:
            raise click.UsageError("--listen needs --to TARGET")
        tls = None
        if options["listen_cert"]:
            tls = TlsOptions(certificate_chain=options["listen_cert"], private_key=options["listen_key"])
        middle = Middle(to, connection, form)
        with form.live(web_port if web else None):
            trio.run(_until_signal, middle.run, listen, tls)
        middle.finish()
        return 0
    if len(arguments) != 2:
        raise click.UsageError("TARGET and METHOD are needed")
    call_options = CallOptions(
        **{name: options[name] for name in ("data", "timeout", "compression", "format")},
        metadata=metadata_of(options["rpc_header"], "--rpc-header"),
        output="none" if form.as_json else options["format"],
    )
    with form.live(web_port if web else None):
        status = _call(arguments[0], arguments[1], connection, form, call_options)
        if web and status != INTERRUPTED:
            note("the page is there until Ctrl-C")
            with suppress(KeyboardInterrupt):
                while True:
                    time.sleep(3600)
    return status


class Forms:
    """What is made of explanations."""

    def __init__(
        self,
        *,
        schema: SchemaOptions,
        detail: str,
        width: int | None,
        html: str | None,
        pcapng: str | None,
        jsonl: str | None,
        as_json: bool,
    ) -> None:
        self.schema = schema
        columns = shutil.get_terminal_size().columns if width is None else width
        self.ladder = Ladder(Detail[detail.upper()], max(columns, LEAST_WIDTH) if columns else None)
        self.files = {"html": html, "pcapng": pcapng, "jsonl": jsonl}
        self.as_json = as_json
        self.registry = Registry()
        if schema.is_given:
            schema.load_files(self.registry)
        self.count = 0
        self._pages: LivePages | None = None

    @contextmanager
    def live(self, port: int | None) -> Iterator[None]:
        """Show what is recorded meanwhile on a page of this port; None: do not."""
        if port is None:
            yield
            return
        from puregrpc.cli.live import LivePages  # who wants no page need not load an HTTP server

        self._pages = LivePages("gRPC on the wire")
        with self._pages.serving(port) as address:
            note(f"live page: {address}")
            yield

    def recorder(self, client: str = "client", server: str = "server") -> Recorder:
        """What keeps a connection, and shows it on the live page if there is one."""
        if self._pages is None:
            return Recorder(client, server, time.time())
        return self._pages.watch(Explainer(registry=self.registry, start_seen=True), client, server)

    def show(self, recording: Recording, *, ladder: bool = True) -> None:
        """Explain one recording in all forms that were asked for."""
        with without_collector():
            self.show_explanation(self.explain(recording), ladder=ladder)

    def explain(self, recording: Recording) -> Explanation:
        """Explain one recording."""
        with progress("explaining"):
            return explain(recording, registry=self.registry)

    def show_explanation(self, explanation: Explanation, *, ladder: bool = True) -> None:
        """Show an explanation in all forms that were asked for."""
        self.count += 1
        recording = explanation.recording
        if self.as_json:
            for line in explanation_lines(explanation):
                print_foreign(line)
        elif ladder:
            print_lines(self.ladder.lines(explanation))
        if name := self._file("html"):
            title = f"gRPC on the wire: {recording.client} to {recording.server}"
            Path(name).write_text(html_page(explanation, title=title), encoding="utf-8")
            note(f"wrote {name}")
        if name := self._file("jsonl"):
            Path(name).write_text("".join(f"{line}\n" for line in explanation_lines(explanation)), encoding="utf-8")
            note(f"wrote {name}")
        if name := self._file("pcapng"):
            Path(name).write_bytes(write_pcapng(recording))
            port = recording.server.rpartition(":")[2]
            hint = "" if recording.key_log or not port.isdecimal() else f"; tshark -d tcp.port=={port},http2 -r {name}"
            note(f"wrote {name}{hint}")

    def _file(self, form: str) -> str | None:
        """The file to write; the second connection and later ones get a number into the name."""
        name = self.files[form]
        if name is None or self.count == 1:
            return name
        path = Path(name)
        return str(path.with_name(f"{path.stem}-{self.count}{path.suffix}"))


@contextmanager
def without_collector() -> Iterator[None]:
    """An explanation is millions of objects without a cycle, which the collector would look at again and again."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def print_lines(lines: Iterable[Line], connection: int | None = None) -> None:
    """Lines of a ladder, coloured on a terminal, with the number of the connection where several are told at once."""
    label = [] if connection is None else [(label_of(connection), "dim")]
    print_styled_lines([*label, *((run.text, STYLES.get(run.style, "")) for run in line)] for line in lines)


def label_of(connection: int) -> str:
    """What stands before the lines of a connection."""
    return f"[{connection}] "


# -- a capture


def _read(file: str, key_log: str | None, form: Forms, selection: Selection, *, strict: bool) -> int:
    data = sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
    keys = Path(key_log).read_text(encoding="ascii", errors="replace") if key_log is not None else ""
    with progress("reading"):
        recordings = read_recordings(data, file, key_log=keys)
    chosen = selection.of_recordings(recordings)
    if len(chosen) > 1 and not form.as_json:
        for number, recording in chosen:
            print_foreign(describe_recording(number, recording))
    passed_over: list[Explanation] = []
    shown = faulty = 0
    for _, recording in chosen:
        with without_collector():
            explanation = form.explain(recording)
            selected = selection.of(explanation)
            if selection.selects_calls and not selected.calls:
                passed_over.append(replace(explanation, entries=(), buffers=()))
                continue
            if (shown or len(chosen) > 1) and not form.as_json:
                print_line()
            form.show_explanation(selected)
            shown += 1
            if strict and (selected.problems() or set(recording.notes) - {NO_TIMES}):
                faulty += 1
    if not shown:
        selection.refuse_nothing(passed_over)
    if faulty:
        note(f"{faulty} of {shown} connections are not whole, or break rules", "bold red")
    return 1 if faulty else 0


async def _until_signal(
    function: Callable[..., Awaitable[None]], *arguments: Any, stop: Callable[[], bool] = bool
) -> bool:
    """Run until the end, Ctrl-C or SIGTERM: what was recorded is still to be written then. True after a signal.

    ``stop`` is called at the first signal; what runs is cancelled if it gives False.
    """
    interrupted = False
    failure: Error | None = None
    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async with trio.open_nursery() as nursery:

            async def listen() -> None:
                nonlocal interrupted
                async for _ in signals:
                    if interrupted or not stop():
                        nursery.cancel_scope.cancel()
                    interrupted = True

            nursery.start_soon(listen)
            try:
                await function(*arguments)
            except Error as error:  # raised again below, where the nursery does not wrap it
                failure = error
            nursery.cancel_scope.cancel()
    if failure is not None:
        raise failure
    return interrupted


# -- a call of this program


def _call(target: str, method: str, connection: ConnectionOptions, form: Forms, options: CallOptions) -> int:
    tapped = _TappedCall(target, connection, form.recorder(server=connection.address(target)[0]))
    failure: Error | None = None
    interrupted = False
    try:
        interrupted = trio.run(tapped.call, method, form, options)
    except Error as error:
        failure = error
    tapped.plain.end()
    if tapped.plain.chunks:
        if not form.as_json:
            print_line()
        address, _ = connection.address(target)
        recorded = replace(tapped.plain.recording(), client=tapped.client or "client", server=tapped.server or address)
        recording = with_encryption(recorded, tapped.encrypted.chunks, tapped.key_log)
        with without_collector():
            explanation = form.explain(recording)
            if form.registry.missing_types is not None and form.registry.missing_types.names:
                with suppress(Error):  # as far as it is known
                    trio.run(tapped.learn, form, recording)
                explanation = form.explain(recording)
            form.show_explanation(explanation)
    if failure is not None:
        raise failure
    return INTERRUPTED if interrupted else 0


class _TappedCall:
    """A call, with what passed over its connection: as gRPC has it and, with TLS, as it is on the wire."""

    def __init__(self, target: str, connection: ConnectionOptions, recorder: Recorder) -> None:
        self.target = target
        self.connection = connection
        self.client = ""
        self.server = ""
        self.plain = recorder
        self.encrypted = Recorder()
        self.key_log = ""
        self._exchanging: trio.CancelScope | None = None

    async def call(self, name: str, form: Forms, options: CallOptions) -> bool:
        """Make the call; returns whether a signal ended it before its time."""
        return await _until_signal(self._call, name, form, options, stop=self._stop)

    async def _call(self, name: str, form: Forms, options: CallOptions) -> None:
        if form.schema.is_given:
            await self._record(find_method(name, form.schema, form.registry), options, form.registry, None)
            return
        # The schema comes over a connection of its own: the trace shows the call and nothing else.
        async with self.connection.open(self.target) as channel:
            method = await load_method(channel, name, form.schema, form.registry)
            await self._record(method, options, form.registry, form.schema.on_demand(channel, form.registry))

    async def _record(
        self, method: MethodDescriptor, options: CallOptions, registry: Registry, types: TypesOnDemand | None
    ) -> None:
        address, is_encrypted = self.connection.address(self.target)
        tls = self.connection.tls(enabled=is_encrypted)
        if tls is None or self.connection.proxy is not None:
            async with self.connection.open(self.target, tap=self.plain) as channel:
                await self._exchange(channel, method, options, registry, types)
            return
        with tempfile.TemporaryDirectory() as folder:
            keys = Path(folder) / "keys"
            try:
                async with open_kernel("puregrpc trace") as kernel:
                    dial = self._dialler(kernel, parse_target(address), replace(tls, key_log_file=keys))
                    async with self.connection.open(self.target, tap=self.plain, connector=dial) as channel:
                        await self._exchange(channel, method, options, registry, types)
            finally:
                self.key_log = keys.read_text(encoding="ascii") if keys.exists() else ""

    async def learn(self, form: Forms, recording: Recording) -> None:
        """Ask the server, over a connection that is not recorded, for types that the explanation misses."""
        async with self.connection.open(self.target) as channel:
            types = form.schema.on_demand(channel, form.registry)
            if types is not None:
                await types.learn(lambda: form.explain(recording))

    async def _exchange(
        self,
        channel: Channel,
        method: MethodDescriptor,
        options: CallOptions,
        registry: Registry,
        types: TypesOnDemand | None,
    ) -> None:
        # What ends the call lets the connection live: how the call and then the connection are ended is recorded too.
        with trio.CancelScope() as self._exchanging:
            async with open_kernel("puregrpc trace") as kernel:
                await make_call(kernel, channel, method, options, registry, types)
        self._exchanging = None

    def _stop(self) -> bool:
        """End the call, if there is one by now."""
        if self._exchanging is None:
            return False
        self._exchanging.cancel()
        return True

    def _dialler(self, kernel: Kernel, target: Target, tls: TlsOptions) -> Connector:
        """What makes a connection with TLS on a stream whose bytes are recorded."""
        context = tls.client_context()

        async def dial() -> ByteStream:
            until = kernel.now() + self.connection.connect_timeout
            server = await connect_to(kernel, target, until)
            self.server, self.client = server.peer, server.local
            stream = TappedStream(kernel, server, self.encrypted)
            name = tls.server_name or target.host
            return await secure(kernel, stream, context, until, server_name=name, require_alpn=tls.require_alpn)

        return dial


def with_encryption(recording: Recording, seen: Sequence[Chunk], key_log: str) -> Recording:
    """The recording with what was seen of it on the wire, times counted alike."""
    if not seen:
        return recording
    first = seen[0].time
    encrypted = tuple(replace(chunk, time=chunk.time - first) for chunk in seen)
    return replace(recording, encrypted=encrypted, key_log=key_log)


# -- a man in the middle


class Middle:
    """Listens, passes on, and tells each frame as it comes."""

    def __init__(self, to: str, connection: ConnectionOptions, form: Forms) -> None:
        self.connection = connection
        self.form = form
        self.address, self.encrypted = connection.address(to)
        self.recorders: list[Recorder] = []
        self.encrypted_side: list[Encrypted | None] = []
        self.front: TlsFront | None = None
        self.explainers: list[Explainer] = []
        self._to = to
        self._is_wanted = trio.Event()
        self._is_schema_known = trio.Event()

    async def run(
        self,
        address: str,
        tls: TlsOptions | None,
        *,
        task_status: trio.TaskStatus[list[str]] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Listen until cancelled; tells the addresses when it has begun."""
        if tls is not None:
            try:
                tls.server_context()  # what is wrong with the certificate is said before anything is listened on
            except InvalidArgument as error:
                raise InvalidArgument(in_options(str(error)).replace("--", "--listen-")) from None
            self.front = TlsFront(tls)
        async with open_kernel("puregrpc trace") as kernel:
            listeners = await listen_on(kernel, address)
            for listener in listeners:
                note(f"listening on {listener.address}, passing on to {self.address}")
            task_status.started([str(listener.address) for listener in listeners])
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._ask_for_schema)
                if self.front is not None:
                    await self.front.serve(kernel, listeners, self._handle)
                else:
                    await serve_until_cancelled(listeners, self._handle)

    async def _ask_for_schema(self) -> None:
        """Once somebody has connected, ask the target's reflection, over a connection that is not recorded."""
        await self._is_wanted.wait()
        if not self.form.schema.is_given:
            try:
                async with self.connection.open(self._to) as channel:
                    await self.form.schema.load(channel, self.form.registry, "")
            except Error as error:
                note(f"messages are told without names: {error}")
        self._is_schema_known.set()

    async def _handle(self, client: ByteStream) -> None:
        number = len(self.recorders)
        encrypted = self.front.encrypted(client.peer) if self.front is not None else None
        self.encrypted_side.append(encrypted)
        recorder = self.form.recorder(client.peer if encrypted is None else encrypted.client, self.address)
        explainer = Explainer(registry=self.form.registry, start_seen=True)
        self.recorders.append(recorder)
        self.explainers.append(explainer)
        try:
            server = await self._connect(client.kernel)
        except ConnectError as error:
            note(f"connection {number + 1}: {error}", "bold red")
            return
        self._is_wanted.set()
        try:
            with trio.move_on_after(LONGEST_WAIT_FOR_SCHEMA):
                await self._is_schema_known.wait()
        except BaseException:  # cancelled
            server.close()
            raise
        live = not self.form.as_json and self.form.ladder.detail is not Detail.OCTETS
        ladder = self.form.ladder.beside(label_of(number + 1))
        if live:
            print_lines(ladder.head(recorder.client, recorder.server), number + 1)
        start = client.kernel.now()

        def observe(from_client: bool, data: bytes, now: float) -> None:
            direction = Direction.CLIENT if from_client else Direction.SERVER
            recorder.record(direction, data, now)
            if live:
                for entry in explainer.feed(Chunk(now - start, direction, data)):
                    print_lines(ladder.entry(entry), number + 1)

        await forward(client, server, observe)
        recorder.end()
        if live:
            print_lines(ladder.calls(call.summary() for call in explainer.conversation.calls.values()), number + 1)

    async def _connect(self, kernel: Kernel) -> ByteStream:
        parsed = parse_target(self.address)
        tls = self.connection.tls(enabled=self.encrypted)
        until = kernel.now() + self.connection.connect_timeout
        stream = await connect_to(kernel, parsed, until)
        if tls is None:
            return stream
        name = tls.server_name or parsed.host
        return await secure(
            kernel, stream, tls.client_context(), until, server_name=name, require_alpn=tls.require_alpn
        )

    def finish(self) -> None:
        """Write the files, and what could not be told while it happened."""
        for recorder, encrypted in zip(self.recorders, self.encrypted_side, strict=True):
            if recorder.chunks:
                live = self.form.ladder.detail is not Detail.OCTETS
                recording = recorder.recording()
                if encrypted is not None and self.front is not None:
                    recording = with_encryption(recording, encrypted.chunks, encrypted.keys(self.front.key_log))
                self.form.show(recording, ladder=not live)
