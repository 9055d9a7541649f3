"""``puregrpc fuzz``: whether a server stands, from its schema down to the frames; and clients, with --client."""

from __future__ import annotations

import random
import signal
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import click
import trio

from puregrpc.channel.target import parse_target
from puregrpc.cli.options import ConnectionOptions, SchemaOptions, connection_options, debug_option, schema_options
from puregrpc.cli.output import note, print_foreign, print_styled
from puregrpc.errors import ConnectError, InvalidArgument, RpcError, SchemaError
from puregrpc.fuzz.cases.case import Case
from puregrpc.fuzz.checks.user_checks import load_checks
from puregrpc.fuzz.checks.words import Observation
from puregrpc.fuzz.connection.connecting import LinkOptions
from puregrpc.fuzz.connection.target import Target
from puregrpc.fuzz.engine.findings import Event, Finding, Found, Note, Progress, Report, finding_of
from puregrpc.fuzz.engine.fuzzer import Fuzzer
from puregrpc.fuzz.engine.options import LEVELS, Options, is_destructive
from puregrpc.fuzz.frames.probe import Fields
from puregrpc.fuzz.reports.corpus import Corpus, read_baseline, read_replay
from puregrpc.fuzz.reports.report import Describer, html_report, json_report, junit_report, text_report
from puregrpc.kernel.network.addresses import UnixAddress
from puregrpc.proto.descriptors import MethodDescriptor
from puregrpc.schema import Registry
from puregrpc.services import open_reflection

__all__ = ["fuzz"]

NOTHING, FINDINGS, COULD_NOT_RUN = 0, 1, 2
LOOPBACK = ("127.", "localhost", "::1", "[::1]")
ATTEMPTS, PAUSE = 3, 0.5
"""To load the schema, and the seconds between them."""
PLUMBING = ("grpc.reflection.", "grpc.health.", "grpc.channelz.")
"""Services that are looked at only where --method names them."""


class Duration(click.ParamType[float]):
    """Seconds, or with a unit: 500ms, 60s, 5m, 1h."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """The seconds of a duration."""
        if isinstance(value, (int, float)):
            return float(value)
        text = str(value).strip().lower()
        for unit, seconds in (("ms", 0.001), ("s", 1.0), ("m", 60.0), ("h", 3600.0), ("", 1.0)):
            if text.endswith(unit):
                try:
                    found = float(text.removesuffix(unit)) * seconds
                except ValueError:
                    break
                if 0 < found < 1e9:
                    return found
        return self.fail(f"{value!r} is not a duration, as in 60s or 5m", param, ctx)


@dataclass(frozen=True, slots=True)
class Wishes:
    """The options of a run that are not about the connection."""

    methods: tuple[str, ...]
    level: str
    time: float
    max_cases: int
    seed: int | None
    rate: float
    deadline: float
    pid: int
    command: str
    credentials: tuple[str, ...]
    checks: tuple[str, ...]
    dictionary: str | None
    allow_destructive: bool
    own: bool
    json: str | None
    junit: str | None
    html: str | None
    corpus: str | None
    baseline: str | None
    traces: bool


@click.command()
@click.argument("target", required=False)
@click.option(
    "--method", "methods", multiple=True, metavar="GLOB", help="Only these methods: pkg.Service/Method, with * and ?."
)
@click.option("--level", default=",".join(LEVELS), show_default=True, metavar="NAMES", help="What to send.")
@click.option("--time", type=Duration(), default="60s", show_default=True, help="How long.")
@click.option("--max-cases", type=click.IntRange(min=0), default=0, metavar="N", help="At most so many cases.")
@click.option("--seed", type=int, metavar="N", help="What chance begins with, to have a run again.")
@click.option("--rate", type=click.FloatRange(min=0), default=0.0, metavar="N", help="At most so many cases a second.")
@click.option("--deadline", type=Duration(), default="2s", show_default=True, help="Of each call.")
@click.option(
    "--pid", type=click.IntRange(min=1), metavar="N", help="The server's process: its memory and processor time."
)
@click.option(
    "--command", metavar="CMD", help="Start the server, and again when it ends; {port} and {address} are put in."
)
@click.option(
    "--credentials", multiple=True, metavar="'NAME: VALUE'", help="Metadata that lets calls in; may be repeated."
)
@click.option(
    "--checks", multiple=True, metavar="FILE.py", help="Checks of yours: functions with @puregrpc.fuzz.check."
)
@click.option("--dictionary", metavar="FILE", help="Values to try, one a line.")
@click.option(
    "--allow-destructive", is_flag=True, help="Call methods whose names say that they delete, stop, pay ... too."
)
@click.option("--i-own-this-target", "own", is_flag=True, help="Needed for targets that are not on loopback.")
@click.option("--json", metavar="FILE", help="Write the report as JSON; -: standard output.")
@click.option("--junit", metavar="FILE", help="Write it as JUnit's XML.")
@click.option("--html", metavar="FILE", help="Write it as a page.")
@click.option("--corpus", metavar="FOLDER", help="Try its cases first, and keep what was found in it.")
@click.option("--baseline", metavar="FILE", help="Accepted findings: an earlier --json, or a list of ids.")
@click.option("--traces", is_flag=True, help="Tell the conversation of each finding, frame by frame.")
@click.option("--replay", metavar="FILE", help="Only try the cases of a --json report or a corpus file again.")
@click.option("--client", metavar="CMD", help="Fuzz a client in place of a server: the command, with {address} in it.")
@schema_options
@connection_options
@debug_option
def fuzz(
    target: str | None,
    replay: str | None,
    client: str | None,
    connection: ConnectionOptions,
    schema: SchemaOptions,
    **options: Any,
) -> int:
    """Send TARGET what no friendly client sends, and say what it did not stand.

    Every finding was seen again on fresh connections before it counts, and its case is the smallest that was found.

    \b
    puregrpc fuzz 127.0.0.1:50051 -p --command './server --port {port}'
    puregrpc fuzz 127.0.0.1:50051 -p --credentials 'authorization: Bearer abc' --json report.json
    puregrpc fuzz --replay report.json -p
    puregrpc fuzz --client './client {address}' --proto service.proto

    Exit status: 0 nothing was found, 1 findings, 2 it could not run.
    """  # fmt: skip
    options["pid"] = options["pid"] or 0
    options["command"] = options["command"] or ""
    wishes = Wishes(**options)
    # Whoever ends the run, as CI does, is not to leave the target that it has started.
    signal.signal(signal.SIGTERM, _ended)
    try:
        if client is not None:
            return _fuzz_client(client, replay, schema, wishes)
        if replay is not None:
            return _replay(replay, target, connection, schema, wishes)
        if target is None:
            raise click.UsageError("TARGET is needed, or --replay FILE, or --client CMD")
        return _fuzz(target, connection, schema, wishes)
    except (ConnectError, InvalidArgument, SchemaError, RpcError, OSError) as error:
        print_styled([("puregrpc: ", "bold red"), (str(error), "")], error=True)
        return COULD_NOT_RUN


def _ended(number: int, _: object) -> None:
    raise SystemExit(128 + number)


def _levels(text: str) -> tuple[str, ...]:
    levels = tuple(name.strip() for name in text.split(",") if name.strip())
    unknown = [name for name in levels if name not in LEVELS]
    if unknown or not levels:
        raise InvalidArgument(f"--level {text!r}: the levels are {', '.join(LEVELS)}")
    return levels


def _pairs(texts: tuple[str, ...]) -> Fields:
    found = []
    for text in texts:
        name, colon, value = text.partition(":")
        if not colon or not name.strip():
            raise InvalidArgument(f"--credentials {text!r} is not NAME: VALUE")
        found.append((name.strip().lower().encode(), value.strip().encode()))
    return tuple(found)


def link_options(target: str, connection: ConnectionOptions, *, own: bool) -> LinkOptions:
    """Where to connect, for a target as commands take it. Raises InvalidArgument."""
    address, has_tls = connection.address(target)
    parsed = parse_target(address)
    tls = connection.tls(enabled=has_tls)
    context = tls.client_context() if tls is not None else None
    host, port = parsed.host, parsed.port
    for each in parsed.addresses[:1]:
        if isinstance(each, UnixAddress):
            return LinkOptions(
                "localhost", 0, path=each.path, tls=context, server_name=connection.servername or "localhost"
            )
        host, port = each.host, each.port
    if not own and not host.startswith(LOOPBACK):
        raise InvalidArgument(
            f"{host} is not on loopback: fuzz only what is yours, and say so with --i-own-this-target"
        )
    return LinkOptions(host.strip("[]"), port, tls=context, server_name=connection.servername or host)


async def _load(
    target: str, connection: ConnectionOptions, schema: SchemaOptions, registry: Registry, wishes: Wishes
) -> list[tuple[str, str]]:
    """Load the schema; the services that the server lists and cannot describe, and why."""
    if schema.is_given:
        schema.load_files(registry)
        return []
    with_credentials = replace(connection, header=(*connection.header, *wishes.credentials))
    async with with_credentials.open(target) as channel, open_reflection(channel) as reflection:
        try:
            names = await reflection.list_services()
        except RpcError as error:
            if error.code == 12:
                raise SchemaError(
                    "the server has no reflection: give the schema with --proto FILE or --protoset FILE"
                ) from None
            raise
        bad: list[tuple[str, str]] = []
        for name in names:
            try:
                await reflection.load(registry, [name])
                registry.service(name)
            except SchemaError as error:
                bad.append((name, str(error)))
        return bad


async def _load_patiently(
    target: str, connection: ConnectionOptions, schema: SchemaOptions, registry: Registry, wishes: Wishes
) -> list[tuple[str, str]]:
    """Load the schema; a server that has just begun may close a connection or two."""
    for _ in range(ATTEMPTS - 1):
        try:
            return await _load(target, connection, schema, registry, wishes)
        except RpcError as error:
            if error.code != 14:
                raise
            await trio.sleep(PAUSE)
    return await _load(target, connection, schema, registry, wishes)


def _chosen(registry: Registry, wishes: Wishes) -> list[MethodDescriptor]:
    methods = []
    left_out = []
    for service in registry.services:
        for method in service.methods:
            name = method.path.removeprefix("/")
            named = any(
                fnmatchcase(name, pattern.removeprefix("/")) or fnmatchcase(method.name, pattern)
                for pattern in wishes.methods
            )
            if wishes.methods and not named:
                continue
            if not wishes.methods and name.startswith(PLUMBING):
                continue
            if is_destructive(method.name) and not wishes.allow_destructive:
                left_out.append(name)
                continue
            methods.append(method)
    if left_out:
        note(f"left out, for what their names say: {', '.join(left_out)} (--allow-destructive)")
    if not methods:
        known = [method.path.removeprefix("/") for service in registry.services for method in service.methods]
        raise InvalidArgument(f"no method to fuzz; there are {', '.join(known[:20]) or 'none'}")
    return methods


def _options(wishes: Wishes, connection: ConnectionOptions, options: LinkOptions) -> Options:
    seed = wishes.seed if wishes.seed is not None else random.SystemRandom().randrange(1 << 32)
    port = f":{options.port}" if options.port else ""
    dictionary: tuple[str, ...] = ()
    if wishes.dictionary:
        dictionary = tuple(Path(wishes.dictionary).read_text(encoding="utf-8").splitlines())
    metadata = tuple(
        (name.encode(), value.encode() if isinstance(value, str) else value) for name, value in connection.metadata()
    )
    return Options(
        levels=_levels(wishes.level), time=wishes.time, max_cases=wishes.max_cases, seed=seed, rate=wishes.rate,
        deadline=wishes.deadline, authority=connection.authority or f"{options.server_name}{port}",
        scheme="https" if options.tls is not None else "http", metadata=metadata,
        credentials=_pairs(wishes.credentials),
        checks=tuple(check for file in wishes.checks for check in load_checks(file)), dictionary=dictionary,
    )  # fmt: skip


class Screen:
    """Tells how the run goes: one line that changes on a terminal, and one for each finding."""

    def __init__(self, methods: int) -> None:
        self._methods = methods
        self._live = sys.stderr.isatty()
        self._last = 0.0

    def __call__(self, event: Event) -> None:
        """Show an event."""
        if isinstance(event, Progress):
            now = time.monotonic()
            if self._live:
                rate = event.cases / max(event.seconds, 0.001)
                sys.stderr.write(
                    f"\r\x1b[K{event.phase}: {event.cases} cases, {rate:.0f}/s, {self._methods} methods, "
                    f"{event.findings} findings, {event.seconds:.0f} s"
                )
                sys.stderr.flush()
            self._last = now
        elif isinstance(event, Found):
            finding = event.finding
            self.clear()
            note(f"{finding.severity} {finding.check} {finding.method or 'the connection'}: {finding.summary}", "red")
        elif isinstance(event, Note):
            self.clear()
            note(event.text)

    def clear(self) -> None:
        """Take the line that changes away."""
        if self._live:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()


def _fuzz(target: str, connection: ConnectionOptions, schema: SchemaOptions, wishes: Wishes) -> int:
    accepted = read_baseline(wishes.baseline) if wishes.baseline else set()
    corpus = Corpus(wishes.corpus) if wishes.corpus else None
    cases = list(corpus.cases()) if corpus is not None else []
    where = link_options(target, connection, own=wishes.own)
    options = _options(wishes, connection, where)
    registry = Registry()
    with Target(where, command=wishes.command, pid=wishes.pid) as process:
        bad = trio.run(_load_patiently, target, connection, schema, registry, wishes)
        methods: list[MethodDescriptor] = []
        try:
            methods = _chosen(registry, wishes)
        except InvalidArgument:
            if not bad:
                raise
        describer = Describer(registry, target=process.describe(), is_plaintext=where.tls is None)
        screen = Screen(len(methods))
        of_schema: list[Finding] = []
        for name, why in bad:
            case = Case("schema", f"/{name}", (), "any", f"reflection's description of {name}")
            text = f"the server's description of {name} cannot be used: {why}"
            finding = finding_of(case, Observation("bad-schema", text))
            finding.repeats = 1
            of_schema.append(finding)
            screen(Found(finding))
        if methods:
            fuzzer = Fuzzer(process, registry, methods, options, screen, corpus=cases)
            report = fuzzer.run()
        else:
            report = Report(process.describe(), options.seed)
    report.findings += of_schema
    screen.clear()
    if corpus is not None:
        corpus.add(report.findings, fuzzer.interesting() if methods else ())
    return _finish(report, describer, wishes, accepted)


def _write(report: Report, describer: Describer, wishes: Wishes) -> None:
    writers: tuple[tuple[str | None, Callable[[Report, Describer], str]], ...] = (
        (wishes.json, json_report),
        (wishes.junit, junit_report),
        (wishes.html, html_report),
    )
    for file, writer in writers:
        if file == "-":
            print_foreign(writer(report, describer).rstrip("\n"))
        elif file:
            Path(file).write_text(writer(report, describer), encoding="utf-8")
    if "-" not in (wishes.json, wishes.junit, wishes.html):
        print_foreign(text_report(report, describer, traces=wishes.traces))


def _replay(file: str, target: str | None, connection: ConnectionOptions, schema: SchemaOptions, wishes: Wishes) -> int:
    known_target, cases = read_replay(file)
    target = target or known_target
    if not target:
        raise click.UsageError("TARGET is needed: the file does not say it")
    where = link_options(target, connection, own=wishes.own)
    options = _options(wishes, connection, where)
    registry = Registry()
    with Target(where, command=wishes.command, pid=wishes.pid) as process:
        trio.run(_load, target, connection, schema, registry, wishes)
        methods = [method for service in registry.services for method in service.methods]
        by_path = {method.path: method for method in methods}
        wanted = {case.method for _, _, case in cases}
        fuzzer = Fuzzer(process, registry, [m for p, m in by_path.items() if p in wanted] or methods[:1], options)
        return _tell_replayed(fuzzer.replay(cases))


def _fuzz_client(command: str, replay: str | None, schema: SchemaOptions, wishes: Wishes) -> int:
    from puregrpc.fuzz.misbehaving.clients import fuzz_client, replay_client

    registry = Registry()
    if schema.is_given:
        schema.load_files(registry)
    if replay is not None:
        return _tell_replayed(replay_client(command, read_replay(replay)[1], registry))
    accepted = read_baseline(wishes.baseline) if wishes.baseline else set()
    corpus = Corpus(wishes.corpus) if wishes.corpus else None
    screen = Screen(0)
    report = fuzz_client(
        command, time_limit=wishes.time, max_cases=wishes.max_cases, emit=screen, levels=_levels(wishes.level),
        registry=registry if schema.is_given else None, known=list(corpus.cases()) if corpus is not None else (),
    )  # fmt: skip
    screen.clear()
    if corpus is not None:
        corpus.add(report.findings, ())
    return _finish(report, Describer(registry, target="", is_plaintext=True), wishes, accepted)


def _tell_replayed(cases: Iterable[tuple[str, str, Case, list[Observation]]]) -> int:
    shown = 0
    for check, number, case, seen in cases:
        shown += bool(seen)
        where = case.method or ("the client" if case.level == "client" else "the connection")
        what = "; ".join(f"{each.check}: {each.summary}" for each in seen) or "not seen any more"
        print_foreign(f"{check or case.level} {where}{f' [{number}]' if number else ''}: {what}")
    return FINDINGS if shown else NOTHING


def _finish(report: Report, describer: Describer, wishes: Wishes, accepted: set[str]) -> int:
    """Write the report, less what is accepted; the exit status."""
    report.accepted = [each for each in report.findings if each.id in accepted]
    report.findings = [each for each in report.findings if each.id not in accepted]
    _write(report, describer, wishes)
    return FINDINGS if report.findings else NOTHING
