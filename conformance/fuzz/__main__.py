"""The table of the zoo: ``python -m conformance.fuzz [--short] [--time SECONDS] [FAULT ...]``."""

from __future__ import annotations

import argparse
import json
import socket
import subprocess
import sys
import time
from pathlib import Path

ZOO: dict[str, dict[str, tuple[str, ...]]] = {
    "grpcio_shop": {
        "crash-on-negative": ("process-ended",),
        "crash-on-long-text": ("process-ended",),
        "deep-nesting": ("process-ended",),
        "unknown-enum": ("internal-status",),
        "missing-message": ("internal-status",),
        "integer-overflow": ("internal-status",),
        "division": ("internal-status",),
        "bad-date": ("internal-status",),
        "pair": ("internal-status",),
        "offset": ("internal-status",),
        "stack-trace": ("leak-of-internals",),
        "file-name": ("leak-of-internals",),
        "hang-on-value": ("hang", "not-served"),
        "half-close-not-noticed": ("hang",),
        "allocates": ("memory",),
        "slow-pattern": ("cpu", "hang", "not-served"),
        "leak": ("memory",),
        "lock-kept-on-cancel": ("hang", "state", "not-served"),
        "state-after-cancel": ("state",),
        "bad-utf8": ("bad-reply",),
        "any-bearer": ("ignored-auth",),
        "internal-header": ("ignored-auth",),
        "unguarded-method": ("ignored-auth",),
        "guarded": (),
        "sound": (),
    },
    "raw_shop": {
        "unknown-frame-ends-process": ("process-ended",),
        "unknown-frame-ends-connection": ("protocol-violation",),
        "settings-size-ends-process": ("process-ended",),
        "reset-unknown-ends-process": ("process-ended",),
        "accept-loop-ends": ("process-ended", "not-served"),
        "one-connection-at-a-time": ("not-served",),
        "too-many-streams": ("limit-exceeded",),
        "header-block-without-end": ("limit-exceeded", "memory"),
        "header-bomb": ("memory", "cpu", "not-served"),
        "thread-for-each-reset": ("limit-exceeded", "memory"),
        "half-close-not-noticed": ("hang",),
        "deadline-ignored": ("hang",),
        "path-without-slash": ("accepted-invalid",),
        "short-message": ("accepted-invalid",),
        "no-trailers": ("protocol-violation",),
        "wrong-length": ("protocol-violation", "bad-reply"),
        "upper-case-field": ("protocol-violation",),
        "data-on-other-stream": ("protocol-violation",),
        "window-ignored": ("protocol-violation",),
        "wrong-pong": ("protocol-violation",),
        "sound": (),
    },
}
"""Server -> fault -> the checks of which one is to find it; nothing is to be found where there are none."""

SHORT = {
    ("grpcio_shop", "crash-on-negative"),
    ("grpcio_shop", "any-bearer"),
    ("grpcio_shop", "sound"),
    ("raw_shop", "unknown-frame-ends-process"),
}
GUARDED = {"guarded", "any-bearer", "internal-header", "unguarded-method"}
ROOT = Path(__file__).parents[2]


def run(animal: str, fault: str, seconds: float) -> tuple[set[str], int, float]:
    """The checks that found something, how many cases were sent, and the seconds it took."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    command = f"{sys.executable} -m conformance.fuzz.zoo.{animal} {{port}} {fault}"
    arguments = [f"127.0.0.1:{port}", "-p", "--command", command, "--time", f"{seconds}s", "--json", "-"]
    if animal == "raw_shop":
        arguments += ["--proto", str(ROOT / "conformance/fuzz/zoo/shop.proto"), "--method", "*GetItem"]
    if fault in GUARDED:
        arguments += ["--credentials", "authorization: Bearer letmein"]
    begun = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "puregrpc", "fuzz", *arguments], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if done.returncode not in (0, 1):
        return {f"exit status {done.returncode}: {done.stderr[-200:]}"}, 0, time.monotonic() - begun
    report = json.loads(done.stdout)
    return {each["check"] for each in report["findings"]}, report["cases"], time.monotonic() - begun


def main() -> int:
    """Run the zoo; 1 if an animal was not told right."""
    parser = argparse.ArgumentParser(prog="python -m conformance.fuzz")
    parser.add_argument("--short", action="store_true")
    parser.add_argument("--time", type=float, default=0.0)
    parser.add_argument("faults", nargs="*")
    arguments = parser.parse_args()
    seconds = arguments.time or (15.0 if arguments.short else 60.0)
    wrong = 0
    print("| server | fault | found by | cases | seconds | |\n|---|---|---|---|---|---|")
    for animal, faults in ZOO.items():
        for fault, right in faults.items():
            if arguments.faults and fault not in arguments.faults:
                continue
            if arguments.short and (animal, fault) not in SHORT:
                continue
            checks, cases, took = run(animal, fault, seconds)
            ok = bool(checks & set(right)) if right else not checks
            wrong += not ok
            shown = ", ".join(sorted(checks)) or "nothing"
            print(f"| {animal} | {fault} | {shown} | {cases} | {took:.0f} | {'' if ok else 'WRONG'} |", flush=True)
    return 1 if wrong else 0


if __name__ == "__main__":
    raise SystemExit(main())
