"""``puregrpc list``: the services of a server or a schema, and the methods of a service."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import click

from puregrpc.cli.completing import complete_service
from puregrpc.cli.options import (
    Command,
    ConnectionOptions,
    SchemaOptions,
    connection_options,
    debug_option,
    schema_options,
)
from puregrpc.cli.output import print_foreign, print_json
from puregrpc.errors import InvalidArgument

if TYPE_CHECKING:
    from puregrpc.channel import Channel

__all__ = ["list_command", "target_and_symbol"]


@click.command("list", cls=Command)
@click.argument("arguments", metavar="[TARGET] [SERVICE]", nargs=-1, shell_complete=complete_service)
@click.option("--json", "as_json", is_flag=True, help="A JSON array in place of lines.")
@schema_options
@connection_options
@debug_option
def list_command(
    arguments: tuple[str, ...], connection: ConnectionOptions, schema: SchemaOptions, *, as_json: bool
) -> int:
    """List the services of the server at TARGET, or the methods of SERVICE.

    With --proto or --protoset, no TARGET is needed.
    """
    target, service = target_and_symbol(arguments, schema)
    service = service.strip("/").removeprefix(".")
    names = _names(target, service, connection, schema)
    if as_json:
        print_json(names)
    else:
        for name in names:
            print_foreign(name)
    return 0


def target_and_symbol(arguments: tuple[str, ...], schema: SchemaOptions) -> tuple[str, str]:
    """What ``[TARGET] [SYMBOL]`` stands for; either may be empty, the target only where the schema is in files."""
    if len(arguments) > 2:
        raise click.UsageError(f"too many arguments: {' '.join(arguments[2:])}")
    if not schema.is_given:
        if not arguments:
            raise click.UsageError("a TARGET is needed, or the schema with --proto FILE or --protoset FILE")
        return arguments[0], arguments[1] if len(arguments) == 2 else ""
    if len(arguments) == 2:
        return arguments[0], arguments[1]
    # A symbol has no colon and no slash at its beginning; a target has one of them.
    only = arguments[0] if arguments else ""
    return (only, "") if ":" in only else ("", only)


def _names(target: str, service: str, connection: ConnectionOptions, schema: SchemaOptions) -> list[str]:
    if not (schema.is_given or service or schema.is_written):
        return sorted(connection.run(target, partial(_services, schema)))
    from puregrpc.schema import Registry

    registry = Registry()
    if schema.is_given:
        schema.load_files(registry)
    else:
        connection.run(target, partial(schema.load, registry=registry, symbol=service))
    if not service:
        schema.write(known.file for known in registry.services)
        return sorted(known.full_name for known in registry.services)
    try:
        found = registry.service(service)
    except LookupError as error:
        raise InvalidArgument(str(error)) from None
    schema.write([found.file])
    return sorted(method.full_name for method in found.methods)


async def _services(schema: SchemaOptions, channel: Channel) -> list[str]:
    async with schema.open_reflection(channel, "asking the server for its services") as reflection:
        return await reflection.list_services()
