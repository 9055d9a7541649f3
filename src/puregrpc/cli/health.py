"""``puregrpc health``: ask a server how it is (gRPC's health checking protocol)."""

from __future__ import annotations

from functools import partial

import click
import trio

from puregrpc.cli.options import ConnectionOptions, connection_options, debug_option
from puregrpc.cli.output import print_json, print_styled
from puregrpc.errors import RpcError
from puregrpc.services.health import ServingStatus, check, watch
from puregrpc.wire.status import StatusCode

__all__ = ["health"]

NOT_SERVING_EXIT_STATUS = 4
"""As grpc-health-probe says it."""

STYLES = {ServingStatus.SERVING: "green"}


@click.command()
@click.argument("target")
@click.argument("service", default="")
@click.option("--watch", "-w", "watching", is_flag=True, help="Go on, and tell each change.")
@click.option("--timeout", "-t", type=float, metavar="SECONDS", help="The deadline of the question.")
@click.option("--json", "as_json", is_flag=True, help="JSON lines in place of words.")
@connection_options
@debug_option
def health(
    target: str,
    service: str,
    connection: ConnectionOptions,
    *,
    watching: bool,
    timeout: float | None,
    as_json: bool,
) -> int:
    """Ask the server at TARGET how it is, or how SERVICE is.

    Exit status: 0 if it serves, 4 if it does not.
    """
    return trio.run(partial(_main, target, service, connection, watching, timeout, as_json))


async def _main(
    target: str, service: str, connection: ConnectionOptions, watching: bool, timeout: float | None, as_json: bool
) -> int:
    status = ServingStatus.UNKNOWN
    async with connection.open(target) as channel:
        if not watching:
            status = await check(channel, service, timeout=timeout)
            _show(service, status, as_json=as_json)
        else:
            with trio.move_on_after(float("inf") if timeout is None else timeout):
                try:
                    async for status in watch(channel, service):
                        _show(service, status, as_json=as_json)
                except RpcError as error:
                    # Servers end a watch when they stop: what was told last is what is known.
                    if error.code not in (StatusCode.CANCELLED, StatusCode.UNAVAILABLE) or not status:
                        raise
    return 0 if status == ServingStatus.SERVING else NOT_SERVING_EXIT_STATUS


def _show(service: str, status: ServingStatus, *, as_json: bool) -> None:
    if as_json:
        print_json({"service": service, "status": status.name}, indent=None)
    else:
        print_styled([(f"{service}: " if service else "", ""), (status.name, STYLES.get(status, "red"))])
