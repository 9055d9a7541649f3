"""``puregrpc call``: call a method of any shape."""

from __future__ import annotations

from functools import partial
from typing import Any

import click

from puregrpc.cli.completing import complete_method
from puregrpc.cli.options import (
    Command,
    ConnectionOptions,
    SchemaOptions,
    connection_options,
    debug_option,
    metadata_of,
    request_options,
    schema_options,
    tell_rpc_error,
)
from puregrpc.errors import RpcError

__all__ = ["call"]


@click.command(cls=Command)
@click.argument("target")
@click.argument("method", shell_complete=complete_method)
@request_options
@click.option(
    "--output",
    "-o",
    type=click.Choice(["json", "text", "raw"]),
    help="Responses as JSON, protobuf text format, or the bytes as they came.  [default: as --format]",
)
@click.option("--emit-defaults", is_flag=True, help="JSON with the fields that are not set.")
@click.option("--json", "as_json", is_flag=True, help="All of the call as JSON lines: headers, messages, status.")
@click.option("--verbose", "-v", is_flag=True, help="Metadata and the method as well, on standard error.")
@schema_options
@connection_options
@debug_option
def call(
    target: str,
    method: str,
    connection: ConnectionOptions,
    schema: SchemaOptions,
    output: str | None,
    rpc_header: tuple[str, ...],
    **options: Any,
) -> int:
    """Call METHOD (pkg.Service/Method) of the server at TARGET.

    The schema comes from the server's reflection, or from --proto or --protoset. Without -d, requests are read from
    standard input if something is piped into it, or if METHOD takes a stream: JSON values one after another, those of a
    stream sent as they come.

    \b
    puregrpc call -p localhost:50051 hello.HelloService/SayHello -d '{"greeting": "Bert"}'
    echo '{"greeting": "Bert"}' | puregrpc call -p localhost:50051 hello.HelloService/SayHello
    """
    from puregrpc.cli.calling import CallOptions
    from puregrpc.cli.calling import call as make
    from puregrpc.schema import Registry

    made = CallOptions(output=output or options["format"], metadata=metadata_of(rpc_header, "--rpc-header"), **options)
    registry = Registry()
    try:
        connection.run_with_kernel(target, partial(make, method, connection, schema, made, registry))
    except RpcError as error:
        # Details of types that only this schema knows are told with it.
        from puregrpc.codec import Codec

        return tell_rpc_error(error, Codec(registry, emit_defaults=made.emit_defaults))
    return 0
