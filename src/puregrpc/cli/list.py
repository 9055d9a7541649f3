"""``puregrpc list``: the services of a server or a schema, and the methods of a service."""

from __future__ import annotations

from functools import partial

import click
import trio

from puregrpc.cli.options import (
    ConnectionOptions,
    SchemaOptions,
    connection_options,
    debug_option,
    no_reflection,
    schema_options,
)
from puregrpc.cli.output import print_json, print_line, progress
from puregrpc.errors import InvalidArgument, RpcError
from puregrpc.schema import Registry
from puregrpc.services import open_reflection

__all__ = ["list_command", "target_and_symbol"]


@click.command("list")
@click.argument("arguments", metavar="[TARGET] [SERVICE]", nargs=-1)
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
    names = trio.run(partial(_names, target, service, connection, schema))
    if as_json:
        print_json(names)
    else:
        for name in names:
            print_line(name)
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


async def _names(target: str, service: str, connection: ConnectionOptions, schema: SchemaOptions) -> list[str]:
    registry = Registry()
    if schema.is_given:
        schema.load_files(registry)
        if not service:
            return sorted(known.full_name for known in registry.services)
    else:
        async with connection.open(target) as channel:
            if not service:
                try:
                    with progress("asking the server for its services"):
                        async with open_reflection(channel) as reflection:
                            return sorted(await reflection.list_services())
                except RpcError as error:
                    raise no_reflection(error) from None
            await schema.load(channel, registry, service)
    try:
        found = registry.service(service)
    except LookupError as error:
        raise InvalidArgument(str(error)) from None
    return sorted(method.full_name for method in found.methods)
