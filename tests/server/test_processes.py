"""A server in several processes: shared sockets, workers that die, draining, figures."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import pytest
import trustme
from tests.server.serving import LOOPS, ON_WORLDS, TIMEOUT, run, status_of
from tests.server.worker_factories import (
    ADDRESS,
    CERTIFICATE,
    FACTORIES,
    blocking_server,
    exits,
    makes_nothing,
    makes_something_else_each_time,
    raises,
    raises_an_error_of_the_library,
    server,
)
from tests.worlds import block_until

from puregrpc.errors import ConnectError, InvalidArgument, LocalProtocolError, UserError
from puregrpc.server import WorkerProcesses, WorkersSnapshot, serve
from puregrpc.server.processes import supervisor

ROOT = Path(__file__).parents[2]


def serving(client: Callable[[WorkerProcesses], None], factory: Any = server, **options: Any) -> WorkersSnapshot:
    """Serve while ``client`` runs in a thread, and end with a signal."""
    errors: list[BaseException] = []

    def in_thread(processes: WorkerProcesses) -> None:
        try:
            client(processes)
        except BaseException as error:
            errors.append(error)
        finally:
            if not is_over.is_set():
                os.kill(os.getpid(), signal.SIGTERM)

    is_over = threading.Event()
    threads: list[threading.Thread] = []

    def begin(processes: WorkerProcesses) -> None:
        threads.append(threading.Thread(target=in_thread, args=(processes,)))
        threads[0].start()

    options = {"workers": 2, "grace": 5.0, **options}
    try:
        snapshot = serve(factory, on_start=begin, **options)
    finally:
        is_over.set()
        for thread in threads:
            thread.join(TIMEOUT)
    if errors:
        raise errors[0]
    return snapshot


def channel_to(address: str) -> grpc.Channel:
    return grpc.insecure_channel(address, [("grpc.use_local_subchannel_pool", 1)])


def ask(address: str, path: str = "/test.W/Pid", request: bytes = b"") -> Any:
    """A call on a connection of its own."""
    with channel_to(address) as channel:
        return channel.unary_unary(path)(request, timeout=TIMEOUT, wait_for_ready=True)


def all_pids(processes: WorkerProcesses) -> None:
    """Call until each worker has answered."""
    seen: set[int] = set()

    def all_have() -> bool:
        seen.add(int(ask(processes.addresses[0])))
        return seen == set(processes.pids)

    block_until(all_have, 60)


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (ProcessLookupError, FileNotFoundError):
        return False
    return stat.rsplit(")", 1)[1].split()[0] != "Z"


@ON_WORLDS
def test_workers_share_a_socket_and_add_up_their_figures(world: str) -> None:
    snapshots: list[WorkersSnapshot] = []

    def client(processes: WorkerProcesses) -> None:
        all_pids(processes)
        snapshots.append(processes.snapshot())
        assert len({inode for pid in processes.pids for inode in listening_inodes(pid)}) == 1

    final = serving(client, FACTORIES[world], world=world)
    (snapshot,) = snapshots
    assert len({worker.pid for worker in snapshot.workers}) == 2
    assert snapshot.calls_started == final.calls_started >= 2
    assert snapshot.calls_ended == final.calls_ended == {0: snapshot.calls_started}
    assert all(worker.server is not None and worker.server.calls_started for worker in snapshot.workers)
    assert not snapshot.is_stopping
    assert final.is_stopping
    assert not [thread.name for thread in threading.enumerate() if thread.name.startswith("puregrpc")]


def listening_inodes(pid: int) -> set[str]:
    """The sockets of a process that listen (Linux)."""
    listening = {
        line.split()[9]
        for name in ("tcp", "tcp6")
        for line in Path(f"/proc/{pid}/net/{name}").read_text().splitlines()[1:]
        if line.split()[3] == "0A"
    }
    links = [str(path.readlink()) for path in Path(f"/proc/{pid}/fd").iterdir() if path.is_symlink()]
    return {link[8:-1] for link in links if link.startswith("socket:[") and link[8:-1] in listening}


@pytest.mark.slow
def test_a_name_of_a_factory_or_of_a_server() -> None:
    for name in ("server", "asyncio_server"):
        final = serving(all_pids, f"tests.server.worker_factories:{name}", world="asyncio")
        assert final.calls_started >= 2


@pytest.mark.parametrize("world", ["asyncio", "threads"])
def test_calls_finish_when_the_workers_are_drained(world: str) -> None:
    results: list[Any] = []
    calls: list[Any] = []
    channels: list[grpc.Channel] = []

    def client(processes: WorkerProcesses) -> None:
        for _ in range(4):
            channels.append(channel_to(processes.addresses[0]))
            calls.append(channels[-1].unary_unary("/test.W/Wait").future(b"0.5"))
        block_until(lambda: processes.snapshot().calls_started == 4, 30)

    began = time.monotonic()
    final = serving(client, FACTORIES[world], world=world, grace=30.0)
    assert time.monotonic() - began < 25
    results = [call.result(timeout=TIMEOUT) for call in calls]
    for channel in channels:
        channel.close()
    assert results == [b"waited"] * 4
    assert final.calls_ended == {0: 4}


@pytest.mark.slow
@pytest.mark.parametrize("world", ["trio", "threads"])
def test_a_second_signal_ends_the_calls(world: str) -> None:
    calls: list[Any] = []
    channels: list[grpc.Channel] = []

    def client(processes: WorkerProcesses) -> None:
        channels.append(channel_to(processes.addresses[0]))
        calls.append(channels[-1].unary_unary("/test.W/Wait").future(b"50"))
        block_until(lambda: processes.snapshot().calls_started == 1, 30)
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(0.3)

    began = time.monotonic()
    serving(client, FACTORIES[world], world=world, grace=60.0)
    assert time.monotonic() - began < 40
    assert status_of(calls[0].result)[0].value[0] == 14
    channels[0].close()


@pytest.mark.parametrize("world", ["asyncio", "threads"])
def test_a_worker_that_dies_is_started_again(world: str, caplog: pytest.LogCaptureFixture) -> None:
    def client(processes: WorkerProcesses) -> None:
        all_pids(processes)
        before = processes.snapshot()
        assert status_of(lambda: ask(processes.addresses[0], "/test.W/Die"))[0].value[0] == 14
        ask(processes.addresses[0])  # the other one serves
        block_until(lambda: sum(worker.restarts for worker in processes.snapshot().workers) == 1, 30)
        block_until(lambda: len(processes.pids) == 2, 60)
        all_pids(processes)
        assert processes.snapshot().calls_started > before.calls_started

    serving(client, FACTORIES[world], world=world)
    assert "ended with exit code 7" in caplog.text


@pytest.mark.slow
def test_a_worker_that_dies_again_and_again_is_started_less_and_less_often(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(supervisor, "FIRST_PAUSE", 0.05)

    def client(processes: WorkerProcesses) -> None:
        for number in range(1, 4):
            block_until(lambda: len(processes.pids) == 1, 60)
            os.kill(processes.pids[0], signal.SIGKILL)
            block_until(lambda number=number: processes.snapshot().workers[0].restarts == number, 30)

    serving(client, workers=1, world="asyncio")
    pauses = [record.args[-2] for record in caplog.records if isinstance(record.args, tuple)]
    assert pauses == [0.05, 0.1, 0.2]


@pytest.mark.slow
def test_a_signal_to_one_worker_drains_it_alone() -> None:
    def client(processes: WorkerProcesses) -> None:
        all_pids(processes)
        first, second = processes.pids
        os.kill(first, signal.SIGTERM)
        block_until(lambda: not is_alive(first), 30)
        assert is_alive(second)
        ask(processes.addresses[0])
        block_until(lambda: len(processes.pids) == 2 and first not in processes.pids, 60)

    serving(client, world="asyncio")


@pytest.mark.slow
def test_a_worker_that_hangs_is_killed(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr(supervisor, "EXIT_TIMEOUT", 0.5)
    monkeypatch.setattr(supervisor, "FIGURES_TIMEOUT", 0.5)
    channels: list[grpc.Channel] = []
    calls: list[Any] = []

    def client(processes: WorkerProcesses) -> None:
        channels.append(channel_to(processes.addresses[0]))
        calls.append(channels[-1].unary_unary("/test.W/Hang").future(b""))

        def is_hanging() -> bool:
            began = time.monotonic()
            processes.snapshot()
            return time.monotonic() - began > 0.4  # one of them does not answer

        block_until(is_hanging, 30)

    began = time.monotonic()
    serving(client, world="asyncio", grace=0.2)
    assert time.monotonic() - began < 40
    assert "did not stop in time, and is killed" in caplog.text
    channels[0].close()


@pytest.mark.slow
def test_a_unix_socket_stays_as_long_as_the_workers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "socket"
    monkeypatch.setenv(ADDRESS, f"unix:{path}")

    def client(processes: WorkerProcesses) -> None:
        first = processes.pids[0]
        os.kill(first, signal.SIGTERM)
        block_until(lambda: not is_alive(first), 30)
        assert path.is_socket()
        ask(f"unix:{path}")

    serving(client, world="asyncio")
    assert not path.exists()


@pytest.mark.slow
def test_tls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    authority = trustme.CA()
    authority.issue_cert("localhost", "127.0.0.1").private_key_and_cert_chain_pem.write_to_path(tmp_path / "cert.pem")
    monkeypatch.setenv(CERTIFICATE, str(tmp_path / "cert.pem"))

    def client(processes: WorkerProcesses) -> None:
        credentials = grpc.ssl_channel_credentials(authority.cert_pem.bytes())
        with grpc.secure_channel(processes.addresses[0], credentials) as channel:
            assert channel.unary_unary("/test.W/Pid")(b"", timeout=TIMEOUT)

    serving(client, world="trio")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("factory", "options", "error", "text"),
    [
        (raises, {}, UserError, "ZeroDivisionError: in the factory"),
        (raises_an_error_of_the_library, {}, InvalidArgument, "the factory's own"),
        (exits, {}, UserError, "worker . ended with exit code 3 before it served"),
        (makes_nothing, {}, InvalidArgument, "must return a Server or BlockingServer, not NoneType"),
        (blocking_server, {}, InvalidArgument, "returned a BlockingServer, and world is 'asyncio'"),
        (server, {"world": "threads"}, InvalidArgument, "returned a Server, and world is 'threads'"),
        ("tests.server.worker_factories:nothing", {}, UserError, "has no attribute 'nothing'"),
        ("no.such.module:server", {}, UserError, "No module named 'no'"),
        ("tests.server.worker_factories", {}, InvalidArgument, "must look like 'module:function'"),
        (lambda: server(), {}, InvalidArgument, "the workers cannot import .*<lambda>: give a function at the top"),
        (server, {"workers": 0}, InvalidArgument, "workers: 0 is less than 1"),
        (server, {"world": "curio"}, InvalidArgument, "world: there are 'asyncio', 'trio' and 'threads', not 'curio'"),
    ],
)
def test_what_cannot_begin(factory: Any, options: Any, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        serve(factory, **{"workers": 2, **options})


@pytest.mark.slow
def test_an_address_that_cannot_be_listened_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ADDRESS, "unix:/nowhere/at/all")
    with pytest.raises(ConnectError, match="could not listen"):
        serve(server, workers=2)


@pytest.mark.slow
def test_workers_that_want_different_addresses(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(ADDRESS, str(tmp_path / "socket"))
    with pytest.raises(UserError, match="wants to listen on"):
        serve(makes_something_else_each_time, workers=2)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("world", LOOPS)
def test_it_is_called_outside_of_loops(world: str) -> None:
    async def body() -> None:
        with pytest.raises(LocalProtocolError, match="outside of loops"):
            serve(server, workers=1)

    run(world, body)


def test_it_is_called_in_the_main_thread() -> None:
    errors: list[BaseException] = []

    def in_thread() -> None:
        try:
            serve(server, workers=1)
        except LocalProtocolError as error:
            errors.append(error)

    thread = threading.Thread(target=in_thread)
    thread.start()
    thread.join(TIMEOUT)
    assert "main thread" in str(errors[0])


PROGRAM = """
from puregrpc.server import serve
from tests.server.worker_factories import server

def show(processes):
    print(processes.addresses[0], *processes.pids, flush=True)

if __name__ == "__main__":
    serve(server, workers=2, on_start=show, grace=0)
"""


@pytest.mark.slow
def test_workers_end_when_their_supervisor_is_killed(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT)])}
    command = [sys.executable, str(program)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        try:
            assert process.stdout is not None
            address, *pids = process.stdout.readline().split()
            assert ask(address)
        finally:
            process.kill()
        for pid in pids:
            block_until(lambda pid=pid: not is_alive(int(pid)), 30)
