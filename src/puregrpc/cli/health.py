"""``puregrpc health``: ask a server how it is (gRPC's health checking protocol)."""

from __future__ import annotations

from contextlib import aclosing
from functools import partial
from typing import TYPE_CHECKING

import click

from puregrpc.cli.completing import complete_service
from puregrpc.cli.options import Command, ConnectionOptions, connection_options, debug_option
from puregrpc.cli.output import print_json, print_styled
from puregrpc.errors import RpcError
from puregrpc.services.health import ServingStatus, check, watch
from puregrpc.wire.status import StatusCode

if TYPE_CHECKING:
    from puregrpc.channel import Channel

__all__ = ["health"]

NOT_SERVING_EXIT_STATUS = 4
"""As grpc-health-probe says it."""

ENDS_OF_WATCH = (StatusCode.CANCELLED, StatusCode.UNAVAILABLE, StatusCode.DEADLINE_EXCEEDED)

STYLES = {ServingStatus.SERVING: "green"}


@click.command(cls=Command)
@click.argument("target")
@click.argument("service", default="", shell_complete=complete_service)
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
    status = connection.run(target, partial(_ask, service, watching=watching, timeout=timeout, as_json=as_json))
    return 0 if status == ServingStatus.SERVING else NOT_SERVING_EXIT_STATUS


async def _ask(
    service: str, channel: Channel, *, watching: bool, timeout: float | None, as_json: bool
) -> ServingStatus:
    """Ask, and show what is said; returns the last that was."""
    if not watching:
        status = await check(channel, service, timeout=timeout)
        _show(service, status, as_json=as_json)
        return status
    told: ServingStatus | None = None
    try:
        async with aclosing(watch(channel, service, timeout=timeout)) as statuses:
            async for told in statuses:
                _show(service, told, as_json=as_json)
    except RpcError as error:
        # Servers end a watch when they stop, and so does its deadline: what was told last is what is known.
        if error.code not in ENDS_OF_WATCH or told is None:
            raise
    return ServingStatus.UNKNOWN if told is None else told


def _show(service: str, status: ServingStatus, *, as_json: bool) -> None:
    if as_json:
        print_json({"service": service, "status": status.name}, indent=None)
    else:
        print_styled([(f"{service}: " if service else "", ""), (status.name, STYLES.get(status, "red"))])
