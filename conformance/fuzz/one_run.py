"""One run of the command against a server that it starts, followed as it tells what it finds."""

from __future__ import annotations

import re
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[2]
SHOP = ROOT / "conformance" / "fuzz" / "zoo" / "shop.proto"
METER = SHOP.with_name("meter.proto")
FINDING = re.compile(r"(critical|high|medium|low) (?P<check>[a-z-]+) (?P<text>.*)")
"""As the command tells a finding at once."""


@dataclass
class Run:
    """What a run has found, as (check, method and summary), and after how many seconds what is looked for came."""

    found: list[tuple[str, str]] = field(default_factory=list)
    when: float | None = None
    seconds: float = 0.0
    failure: str = ""
    """Why the command could not run."""


def fuzz(
    command: str, seconds: float, is_looked_for: Callable[[str, str], bool], *, is_whole: bool, more: Sequence[str] = ()
) -> Run:
    """Fuzz what ``command`` serves on {port}, until what is looked for is found, unless the run is to be whole."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    arguments = [f"127.0.0.1:{port}", "-p", "--command", command, "--time", f"{seconds}s", *more]
    run = Run()
    said = ""
    begun = time.monotonic()
    with subprocess.Popen(
        [sys.executable, "-m", "puregrpc", "fuzz", *arguments],
        cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        assert process.stderr is not None
        for line in process.stderr:
            finding = FINDING.match(line)
            if finding is None:
                said = line.strip() or said
                continue
            run.found.append((finding["check"], finding["text"]))
            if run.when is None and is_looked_for(finding["check"], finding["text"]):
                run.when = time.monotonic() - begun
                if not is_whole:
                    process.terminate()
    run.seconds = time.monotonic() - begun
    if run.when is None and process.returncode != (1 if run.found else 0):
        run.failure = f"exit status {process.returncode}: {said}"
    return run
