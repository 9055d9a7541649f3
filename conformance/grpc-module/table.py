"""The table of both runs: what grpcio passes, and what of that grpc-module passes; each of the rest by name.

Usage: table.py GRPCIO.json OURS.json
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

TARGET = 0.98

GROUPS = {
    "grpc": lambda name: name.startswith("tests.unit."),
    "grpc.aio": lambda name: name.startswith("tests_aio.unit."),
    "reflection, health, status, channelz, testing": lambda name: ".unit." not in name and not is_other(name),
    "interop between its own two ends": lambda name: ".interop." in name,
    "generated code, as protoc's plugin makes it": lambda name: ".protoc_plugin." in name,
    "CSDS and admin, which need an xDS client": lambda name: ".csds." in name or ".admin." in name,
}

OTHERS = ".interop.", ".protoc_plugin.", ".csds.", ".admin."


def is_other(name: str) -> bool:
    """It is no test of a package of those that servers add to their services."""
    return any(each in name for each in OTHERS)


def main() -> None:
    grpcio, ours = (json.loads(Path(name).read_text()) for name in sys.argv[1:3])
    print("| tests | grpcio passes | of these here | |\n|---|---:|---:|---:|")
    missing: list[str] = []
    all_passed = all_here = 0
    run = {module_of(name) for name in ours}
    for title, is_of in GROUPS.items():
        passed = {name for name, each in grpcio.items() if each["outcome"] == "passed" and is_of(name)}
        passed = {name for name in passed if module_of(name) in run}
        here = {name for name in passed if ours.get(name, {}).get("outcome") == "passed"}
        all_passed, all_here = all_passed + len(passed), all_here + len(here)
        missing += sorted(passed - here)
        if passed:
            print(f"| {title} | {len(passed)} | {len(here)} | {len(here) / len(passed):.1%} |")
    for name in missing:
        each = ours.get(name, {"text": "was not run"})
        last = (each.get("text") or "").strip().splitlines() or [each.get("outcome", "")]
        print(f"  {name}: {last[-1][:160]}")
    share = all_here / all_passed if all_passed else 0
    print(f"\n{all_here} passed, {all_passed - all_here} failed")
    sys.exit(0 if share >= TARGET else 1)


def module_of(name: str) -> str:
    """The module of a test: the classes begin with capitals."""
    parts = name.split(".")
    return ".".join(parts[: next((i for i, part in enumerate(parts) if part[:1].isupper()), len(parts))])


if __name__ == "__main__":
    main()
