"""Users of Locust: what a call of a `GrpcUser` takes beyond a user that only fires the event, and how fast they are up.

``python -m benchmarks.locust_users [--seconds N] [--users N ...] [--output PAGE]``, with Locust installed. Needs
grpc-go's interop server: ``conformance/get grpc-go-interop-server``. The processor time is that of Locust's process,
which runs the users alone, with neither a page nor workers; the server runs beside it.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import MappingProxyType
from typing import Any

from benchmarks.load_runs import PROTOS, REQUEST, serving
from benchmarks.measuring import run_worker, versions

METHOD = "grpc.testing.TestService/UnaryCall"
WARM_UP = 2.0
"""Seconds."""
KINDS = {
    "fires": "only fires the event",
    "shared": "GrpcUser, one connection",
    "own": "GrpcUser, a connection each",
}


def user_class(kind: str) -> type[Any]:
    """A user of Locust's."""
    import gevent
    from locust import User, task

    from puregrpc.integrations.locust import GrpcUser

    if kind == "fires":

        class Fires(User):  # type: ignore[misc]  # Locust has no types
            @task  # type: ignore[untyped-decorator]
            def fire(self) -> None:
                gevent.sleep(0)
                self.environment.events.request.fire(
                    request_type="grpc", name=METHOD, response_time=1.0, response_length=24, exception=None, context={}
                )

        return Fires

    class Calls(GrpcUser):
        import_paths = (str(PROTOS),)
        proto_files = ("grpc/testing/test.proto",)
        connect_params = MappingProxyType({"plaintext": True})
        shares_connection = kind == "shared"

        @task  # type: ignore[untyped-decorator]
        def call(self) -> None:
            self.client.invoke(METHOD, REQUEST)

    return Calls


def work(kind: str, users: int, seconds: float, target: str) -> dict[str, float]:
    """Run Locust in this process, and measure it."""
    from gevent import monkey

    monkey.patch_all()
    import gevent
    from locust.env import Environment

    environment = Environment(user_classes=[user_class(kind)], host=target)
    runner = environment.create_local_runner()
    began, worked = time.perf_counter(), time.process_time()
    runner.start(users, spawn_rate=users)
    runner.spawning_greenlet.join()
    while environment.stats.num_requests < users:  # each has made its first call
        gevent.sleep(0.01)
    up, worked = time.perf_counter() - began, time.process_time() - worked
    gevent.sleep(WARM_UP)
    calls, cost, began = environment.stats.num_requests, time.process_time(), time.perf_counter()
    gevent.sleep(seconds)
    calls, cost = environment.stats.num_requests - calls, time.process_time() - cost
    rate = calls / (time.perf_counter() - began)
    failed = environment.stats.num_failures
    runner.quit()
    return {"up": up, "worked": worked, "cost": cost / calls * 1e6, "rate": rate, "failed": failed}


def rows(arguments: argparse.Namespace) -> Iterator[str]:
    """The page, line by line."""
    yield "# Users of Locust\n"
    yield f"Made by `python -m benchmarks.locust_users` on {time.strftime('%Y-%m-%d')}: {versions()}, Locust"
    yield f"{_locust()}; {arguments.seconds:g} s a row; load average at the begin {os.getloadavg()[0]:.1f}.\n"
    yield re.sub(r"\s+", " ", (__doc__ or "").partition("interop-server``. ")[2]).strip() + "\n"
    yield (
        "| | µs of processor time a call | beyond the event | calls/s | s until all users have called "
        "| s of processor time until then |\n|---|--:|--:|--:|--:|--:|"
    )
    with serving() as (target, _):
        for users in arguments.users:
            event = 0.0
            for kind, name in KINDS.items():
                ran = run_worker("locust_users", "--work", kind, str(users), str(arguments.seconds), target)
                if ran["failed"]:
                    raise SystemExit(f"{ran['failed']} calls failed")
                event = event or ran["cost"]
                beyond = "–" if kind == "fires" else f"{ran['cost'] - event:.1f}"
                cells = f"{ran['cost']:.1f} | {beyond} | {ran['rate']:,.0f} | {ran['up']:.2f} | {ran['worked']:.2f}"
                yield f"| {users} users: {name} | {cells} |"


def _locust() -> str:
    from importlib.metadata import version

    return version("locust")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--users", type=int, nargs="*", default=[1, 50, 1_000])
    parser.add_argument("--output", type=Path, help="save the table as a page")
    parser.add_argument("--work", nargs=4, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.work:
        kind, users, seconds, target = arguments.work
        print(json.dumps(work(kind, int(users), float(seconds), target)))
        sys.stdout.flush()
        return
    lines = []
    for line in rows(arguments):
        print(line, flush=True)
        lines.append(line)
    if arguments.output:
        arguments.output.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
