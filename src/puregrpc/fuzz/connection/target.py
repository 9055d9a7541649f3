"""The target as a process: started, watched and started again; what it takes of memory and processor time."""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import subprocess
import time
from pathlib import Path

from puregrpc.errors import ConnectError, InvalidArgument
from puregrpc.fuzz.connection.connecting import LinkOptions
from puregrpc.fuzz.connection.link import Link
from puregrpc.trace import Recorder

__all__ = ["Target", "Usage"]

TICKS = os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 100
PAGE = os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 4096
START_TIMEOUT = 60.0
"""Seconds that a target may take until it listens."""
STOP_TIMEOUT = 3.0
PROC = Path("/proc")
LOOPBACK = ("127.0.0.1", "localhost", "::1")
ASKED = 50
"""After so many looks at the list a target is connected to, which may be in a namespace of its own."""
LISTEN = "0A"
LISTENERS = ("00000000", "0100007F", "0" * 32, "0" * 24 + "01000000", "0" * 16 + "FFFF00000100007F")
"""Addresses, as /proc/net/tcp and tcp6 have them, at which what is on loopback is reached."""


class Usage:
    """What the target's processes had at one moment: octets of memory, the most there were, processor time, threads."""

    __slots__ = ("cpu", "memory", "peak", "threads")

    def __init__(self, memory: int, peak: int, cpu: float, threads: int) -> None:
        self.memory = memory
        self.peak = peak
        self.cpu = cpu
        self.threads = threads


class Target:
    """Where the server is, and the process that it is if that is known.

    ``command`` is started, and again whenever it has ended; ``{port}`` and ``{address}`` in it are those of the target.
    It is split as a shell does, and no shell runs it. ``pid`` is a process that somebody else has started. As a context
    manager it starts the command, and ends it.
    """

    def __init__(self, options: LinkOptions, *, command: str = "", pid: int = 0) -> None:
        self.options = options
        self._command: list[str] = []
        if command:
            try:
                parts = shlex.split(command)
            except ValueError as error:
                raise InvalidArgument(f"--command {command!r}: {error}") from None
            address = f"unix:{options.path}" if options.path else f"{options.host}:{options.port}"
            self._command = [
                part.replace("{port}", str(options.port)).replace("{address}", address).replace("{host}", options.host)
                for part in parts
            ]
        self._process: subprocess.Popen[bytes] | None = None
        self._given_pid = pid
        self._pids: tuple[int, ...] = ()
        self.starts = 0
        self.start_seconds = 0.0
        """How long the last start took until the target listened."""
        self.exit_status: int | None = None
        """How the command ended the last time: an exit status, or minus a signal's number."""
        if pid and not _is_alive(pid):
            raise InvalidArgument(f"--pid {pid}: there is no such process")

    @property
    def can_restart(self) -> bool:
        """The fuzzer starts it itself."""
        return bool(self._command)

    @property
    def is_watched(self) -> bool:
        """Its process is known."""
        return bool(self._command or self._given_pid)

    def __enter__(self) -> Target:
        try:
            if self._command:
                self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Start the command and wait until it listens. Raises ConnectError, InvalidArgument if it cannot be started."""
        begun = time.monotonic()
        if self._listens():
            raise ConnectError(f"{self.describe()}: somebody else listens there already; --command is to have it alone")
        try:
            self._process = subprocess.Popen(
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
        except OSError as error:
            raise InvalidArgument(f"--command {self._command[0]!r}: {error.strerror or error}") from None
        self.starts += 1
        self.exit_status = None
        attempts = 0
        while not self._is_up(attempts):
            attempts += 1
            if self._process.poll() is not None:
                status = self._process.returncode
                raise ConnectError(f"--command ended with status {status} before it listened on {self.describe()}")
            if time.monotonic() - begun > START_TIMEOUT:
                self.stop()
                raise ConnectError(f"--command did not listen on {self.describe()} within {START_TIMEOUT:g} s")
            time.sleep(0.02)
        self.start_seconds = time.monotonic() - begun
        self._find_processes()

    def stop(self) -> None:
        """End the command with all that it has started."""
        process, self._process = self._process, None
        if process is None:
            return
        for number in (signal.SIGTERM, signal.SIGKILL):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, number)
            try:
                process.wait(0.3 if number is signal.SIGTERM else STOP_TIMEOUT)
            except subprocess.TimeoutExpired:
                continue
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        until = time.monotonic() + STOP_TIMEOUT
        while self._listens() and time.monotonic() < until:
            time.sleep(0.02)

    def restart(self) -> None:
        """A fresh process. Raises ConnectError if it does not come up."""
        self.stop()
        self.start()

    def has_ended(self) -> bool:
        """Its process is known to be gone."""
        if self._process is not None:
            status = self._process.poll()
            if status is not None:
                self.exit_status = status
            return status is not None
        if self._given_pid:
            return not _is_alive(self._given_pid)
        return False

    def how_it_ended(self) -> str:
        """In words, for a report."""
        status = self.exit_status
        if status is None:
            return "the process is gone"
        if status < 0:
            with contextlib.suppress(ValueError):
                return f"the process was ended by {signal.Signals(-status).name}"
        return f"the process ended with status {status}"

    def describe(self) -> str:
        """The address as text."""
        return f"unix:{self.options.path}" if self.options.path else f"{self.options.host}:{self.options.port}"

    def link(
        self,
        timeout: float = 3.0,
        *,
        raw: bool = False,
        settings: tuple[tuple[int, int], ...] | None = None,
        recorder: Recorder | None = None,
        takes_windows: bool = True,
    ) -> Link:
        """A fresh connection. Raises OSError."""
        return Link(
            self.options, timeout=timeout, raw=raw, settings=settings, recorder=recorder, takes_windows=takes_windows
        )

    def usage(self) -> Usage | None:
        """What its processes have taken by now; None if that cannot be known."""
        if not self._pids:
            self._find_processes()
        memory = peak = threads = 0
        cpu = 0.0
        seen = False
        for pid in self._pids:
            try:
                fields = (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
                status = (PROC / str(pid) / "status").read_text()
            except (OSError, ValueError):
                continue
            seen = True
            cpu += (int(fields[11]) + int(fields[12])) / TICKS
            threads += int(fields[17])
            memory += int(fields[21]) * PAGE
            peak += _kilobytes(status, "VmHWM:") << 10
        return Usage(memory, peak, cpu, threads) if seen else None

    def is_collected(self) -> bool:
        """Whether its memory is that of a heap which grows long before it is collected."""
        for pid in self._pids:
            with contextlib.suppress(OSError):
                name = (PROC / str(pid) / "cmdline").read_bytes().split(b"\0")[0].rpartition(b"/")[2]
                if name in (b"java", b"node", b"dotnet", b"nodejs"):
                    return True
        return False

    def most_files(self) -> int:
        """How many files its process may have open; 0 where that is not known, or not limited."""
        for pid in self._pids[-1:]:
            with contextlib.suppress(OSError, ValueError, IndexError):
                limits = (PROC / str(pid) / "limits").read_text()
                return int(limits[limits.index("Max open files") + 14 :].split(None, 1)[0])
        return 0

    def open_files(self) -> int:
        """How many files its processes have open; 0 where that is not known."""
        count = 0
        for pid in self._pids:
            with contextlib.suppress(OSError):
                count += sum(1 for _ in (PROC / str(pid) / "fd").iterdir())
        return count

    def forget_peak(self) -> None:
        """Let the most memory there was begin again with what there is now, where the system can."""
        for pid in self._pids:
            with contextlib.suppress(OSError):
                (PROC / str(pid) / "clear_refs").write_text("5")

    def _find_processes(self) -> None:
        root = self._process.pid if self._process is not None else self._given_pid
        if not root or not PROC.is_dir():
            self._pids = ()
            return
        children: dict[int, list[int]] = {}
        for entry in PROC.iterdir():
            if entry.name.isdigit():
                with contextlib.suppress(OSError, ValueError, IndexError):
                    parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
                    children.setdefault(parent, []).append(int(entry.name))
        found: list[int] = []
        pending = [root]
        while pending:
            pid = pending.pop()
            found.append(pid)
            pending += children.get(pid, [])
        self._pids = tuple(found)

    def _is_up(self, attempts: int) -> bool:
        """Whether it listens, if possible without a connection: who waits for the first one is to have it later."""
        if not self._can_be_listed():
            return self._listens()
        # In a namespace of its own it is not listed.
        return self._is_listed() or (attempts % ASKED == ASKED - 1 and self._listens())

    def _listens(self) -> bool:
        try:
            self.options.connect(1.0).close()
        except OSError:
            return False
        return True

    def _can_be_listed(self) -> bool:
        return not self.options.path and self.options.host in LOOPBACK and (PROC / "net" / "tcp").exists()

    def _is_listed(self) -> bool:
        """Whether the system has a listener at the address."""
        wanted = f":{self.options.port:04X} "
        for name in ("tcp", "tcp6"):
            with contextlib.suppress(OSError):
                for line in (PROC / "net" / name).read_text().splitlines()[1:]:
                    if wanted in line:
                        _, local, _, state, *_ = line.split()
                        if state == LISTEN and local.partition(":")[0] in LISTENERS and local.endswith(wanted.strip()):
                            return True
        return False


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    try:
        return (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()[0] not in ("Z", "X")
    except (OSError, IndexError):
        return True


def _kilobytes(status: str, name: str) -> int:
    at = status.find(name)
    return int(status[at + len(name) :].split(None, 1)[0]) if at >= 0 else 0
