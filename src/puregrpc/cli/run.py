"""``puregrpc run``: a load run."""

from __future__ import annotations

import atexit
import contextlib
import gc
import json
import logging
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import click

from puregrpc.cli.options import Command, debug_option
from puregrpc.cli.output import error_line
from puregrpc.errors import InvalidArgument
from puregrpc.metrics import CsvLines, JsonLines

if TYPE_CHECKING:
    from puregrpc.load import Exporter

__all__ = ["run"]

K6_NAMES = {"experimental-opentelemetry": "opentelemetry", "experimental-prometheus-rw": "prometheus"}

MOST_DIGITS = 9
"""Of a number of users."""

SUMMARY_MODES = ("compact", "full", "legacy", "disabled")


@click.command(cls=Command)
@click.argument("script", type=click.Path())
@click.option("--vus", "-u", type=click.IntRange(0), help="Virtual users; with --stage, those at the begin.")
@click.option("--duration", "-d", metavar="TIME", help="How long iterations are begun: 30s, 1m30s.")
@click.option("--iterations", "-i", type=click.IntRange(1), help="How many iterations the users share.")
@click.option(
    "--stage", "-s", "stages", multiple=True, metavar="TIME:USERS,…",
    help="Go to USERS within TIME; several make a ramp.",
)  # fmt: skip
@click.option("--rate", metavar="N[/s|/m|/h]", help="Begin N iterations a second (minute, hour), for --duration.")
@click.option("--connections", type=click.IntRange(0), help="How many connections users share; 0: each has its own.")
@click.option("--workers", type=click.IntRange(1), default=1, help="Processes that share the work.  [default: 1]")
@click.option("--env", "-e", "environment", multiple=True, metavar="NAME=VALUE", help="Set a variable for the script.")
@click.option("--tag", "tags", multiple=True, metavar="NAME=VALUE", help="Put a tag on all samples.")
@click.option("--seed", type=click.IntRange(0), help="Of the users' random numbers.")
@click.option("--loop", type=click.Choice(["asyncio", "uvloop", "trio"]), help="What async scripts run on.")
@click.option("--min-iteration-duration", metavar="TIME", help="How long an iteration takes at least.")
@click.option("--no-setup", is_flag=True, help="Do not call setup().")
@click.option("--no-teardown", is_flag=True, help="Do not call teardown().")
@click.option("--no-thresholds", is_flag=True, help="Judge no thresholds.")
@click.option(
    "--out", "-o", "outs", multiple=True, metavar="KIND=WHERE",
    help="Write samples: json=FILE, csv=FILE (or FILE.gz). Send metrics: opentelemetry=ENDPOINT, prometheus=URL.",
)  # fmt: skip
@click.option("--html", type=click.Path(dir_okay=False), metavar="FILE", help="Write a report with plots over time.")
@click.option("--web", is_flag=True, help="Show the report on a page while the run goes, and let users be set there.")
@click.option("--web-port", type=click.IntRange(0, 65535), default=6565, help="Its port of 127.0.0.1.  [default: 6565]")
@click.option("--summary-export", type=click.Path(dir_okay=False), metavar="FILE", help="Write the summary as JSON.")
@click.option("--summary-trend-stats", metavar="LIST", help="The columns of trends: avg,p(95),p(99.9),count.")
@click.option("--summary-time-unit", type=click.Choice(["s", "ms", "us"]), help="The unit of times in the summary.")
@click.option("--summary-mode", type=click.Choice(SUMMARY_MODES), help="How much is told.  [default: compact]")
@click.option("--no-summary", is_flag=True, help="Print no summary.")
@click.option("--quiet", "-q", is_flag=True, help="Print no progress.")
@debug_option
def run(script: str, **given: Any) -> int:
    """Run the load test in SCRIPT, a Python file with a function default() and, if wanted, options.

    Exit status: 0; 99 if a threshold was crossed; 100 or 101 if setup() or teardown() took too long; 104 for options
    that cannot be; 105 after Ctrl-C, which ends the run gracefully, and at once when it comes again; 107 if the script
    raised outside of iterations; 108 if it called abort(); 110 if it called test.fail(); 255 without a script or a
    function in it.

    \b
    puregrpc run script.py --vus 50 --duration 30s
    puregrpc run script.py --rate 2000 --duration 1m -e TARGET=localhost:50051
    """
    from puregrpc.cli.progress import Progress
    from puregrpc.load import LoadError
    from puregrpc.load import run as run_load

    if hasattr(gc, "freeze"):  # PyPy's has not
        atexit.register(gc.freeze)  # what a thousand users leave is not to be looked through when the process ends
    progress = Progress(quiet=given["quiet"])
    _log_to_stderr(progress.wrote)
    with contextlib.ExitStack() as files:
        try:
            outputs = tuple(files.enter_context(_output(out)) for out in given["outs"])
            result = run_load(
                script,
                _options(given),
                env=dict(_pair(each, "--env") for each in given["environment"]),
                workers=given["workers"],
                outputs=outputs,
                observer=progress,
                web=given["web_port"] if given["web"] else None,
            )
        except LoadError as error:
            error_line(str(error))
            return error.exit_status
    tells = not (given["no_summary"] or given["summary_mode"] == "disabled")
    _tell(result.written, result.summary if tells else "")
    if given["summary_export"] and tells:
        from puregrpc.load.report import exported_summary

        text = json.dumps(exported_summary(result.data), indent=4, ensure_ascii=False, default=repr)
        _write("--summary-export", given["summary_export"], text)
    if given["html"]:
        _write("--html", given["html"], result.page)
    if result.problem:
        error_line(result.problem)
    return result.exit_status


def _options(given: dict[str, Any]) -> dict[str, Any]:
    """What the command line says, as options."""
    names = (
        "vus", "duration", "iterations", "rate", "connections", "seed", "loop", "summary_trend_stats",
        "summary_time_unit", "summary_mode", "min_iteration_duration",
    )  # fmt: skip
    options = {name: given[name] for name in names if given[name] not in (None, "disabled")}
    for name in ("duration", "min_iteration_duration"):
        _has_unit(given[name] or "", f"--{name.replace('_', '-')}")
    if given["stages"]:
        options["stages"] = [_stage(each) for text in given["stages"] for each in text.split(",")]
    if given["tags"]:
        options["tags"] = dict(_pair(each, "--tag") for each in given["tags"])
    for name in ("no_setup", "no_teardown", "no_thresholds"):
        if given[name]:
            options[name] = True
    if given["no_summary"] or given["summary_mode"] == "disabled":
        options["no_summary"] = True
    return options


def _stage(text: str) -> dict[str, object]:
    time, colon, users = text.rpartition(":")
    if not colon or not users.isdecimal() or len(users) > MOST_DIGITS:
        raise click.BadParameter(f"{text!r} is not TIME:USERS, such as 30s:10", param_hint="--stage")
    _has_unit(time, "--stage")
    return {"duration": time, "target": int(users)}


def _has_unit(time: str, option: str) -> None:
    """Refuse a number, which a script means as milliseconds, and people who type it as seconds."""
    if time.strip("0") and time.replace(".", "", 1).isdecimal():
        raise click.BadParameter(f"{time!r} has no unit: {time}s, {time}ms", param_hint=option)


def _pair(text: str, option: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if name and not equals and option == "--env":
        return name, os.environ.get(name, "")
    if not equals or not name or (option == "--tag" and not value):
        raise click.BadParameter(f"{text!r} is not NAME=VALUE", param_hint=option)
    return name, value


@contextlib.contextmanager
def _output(text: str) -> Iterator[JsonLines | CsvLines | Exporter]:
    kind, _, name = text.partition("=")
    kinds: dict[str, type[JsonLines | CsvLines]] = {"json": JsonLines, "csv": CsvLines}
    kind = K6_NAMES.get(kind, kind)
    if kind in ("opentelemetry", "prometheus"):
        from puregrpc.load import OpenTelemetryExporter, PrometheusRemoteWrite

        exporter = OpenTelemetryExporter if kind == "opentelemetry" else PrometheusRemoteWrite
        try:
            made = exporter.from_environment(name)
        except InvalidArgument as error:
            raise click.BadParameter(str(error), param_hint="--out") from None
        yield made
        return
    if kind not in kinds:
        every = ", ".join((*kinds, "opentelemetry"))
        raise click.BadParameter(f"there are {every} and prometheus, not {kind!r}", param_hint="--out")
    if name in ("", "-"):
        output = kinds[kind](sys.stdout)
        yield output
        output.flush()
        return
    try:
        file = _opened(name)
    except OSError as error:
        raise click.BadParameter(f"{name}: {error.strerror}", param_hint="--out") from None
    output = kinds[kind](file)
    try:
        yield output
    finally:
        try:
            file.close()
        except OSError as error:  # if it was not told before, when the disk was not full yet
            error_line(f"--out: {name}: {error.strerror}")


def _opened(name: str) -> TextIO:
    """A file to write, compressed if its name ends in .gz."""
    if not name.endswith(".gz"):
        return Path(name).open("w", encoding="utf-8", newline="")
    import gzip  # most runs do without

    return gzip.open(name, "wt", encoding="utf-8", newline="", compresslevel=6)


def _tell(written: dict[str, str | bytes] | None, summary: str) -> None:
    """Print the summary, or what the script made of it."""
    if written is None:
        if summary:
            sys.stdout.write(f"\n\n{summary}\n\n")
            sys.stdout.flush()
        return
    for name, content in written.items():
        if name in ("stdout", "stderr"):
            stream = sys.stdout if name == "stdout" else sys.stderr
            stream.write(content if isinstance(content, str) else content.decode("utf-8", "backslashreplace"))
            stream.flush()
            continue
        _write("handle_summary", name, content)


def _write(what: str, name: str, content: str | bytes) -> None:
    """Write one of the files of the end; the others are written, as by k6, where that cannot be."""
    try:
        Path(name).write_bytes(content if isinstance(content, bytes) else content.encode())
    except OSError as error:
        error_line(f"{what}: {name}: {error.strerror}")


def _log_to_stderr(wrote: Callable[[logging.LogRecord], bool]) -> None:
    """Warnings and errors of the run go to standard error, a line each; ``wrote`` is told of each."""
    logger = logging.getLogger("puregrpc")
    if not logger.handlers:
        handler = logging.StreamHandler()
        handler.addFilter(wrote)
        handler.setFormatter(logging.Formatter("%(levelname)s %(message)s"))
        logger.addHandler(handler)
        logger.propagate = False
