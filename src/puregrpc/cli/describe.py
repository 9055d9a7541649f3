"""``puregrpc describe``: what a service, method or type is, as .proto source, and a request to fill in."""

from __future__ import annotations

from functools import partial

import click

from puregrpc.cli.completing import complete_method
from puregrpc.cli.list import target_and_symbol
from puregrpc.cli.options import (
    Command,
    ConnectionOptions,
    SchemaOptions,
    connection_options,
    debug_option,
    schema_options,
)
from puregrpc.cli.output import print_foreign, print_json, print_line
from puregrpc.cli.proto_source import symbol_source
from puregrpc.codec.samples import template
from puregrpc.errors import SchemaError
from puregrpc.proto.descriptors import MessageDescriptor
from puregrpc.schema import Registry

__all__ = ["describe"]


@click.command(cls=Command)
@click.argument("arguments", metavar="[TARGET] [SYMBOL]", nargs=-1, shell_complete=complete_method)
@click.option("--template", "with_template", is_flag=True, help="Show a message (a method's request) as JSON to fill.")
@click.option("--json", "as_json", is_flag=True, help="JSON objects with name, kind, source and template.")
@schema_options
@connection_options
@debug_option
def describe(
    arguments: tuple[str, ...],
    connection: ConnectionOptions,
    schema: SchemaOptions,
    *,
    with_template: bool,
    as_json: bool,
) -> int:
    """Describe SYMBOL (a service, method, message, enum or field), or all services of the server at TARGET.

    Comments are shown where the schema has them: .proto files do, a server's reflection rarely.
    """
    target, symbol = target_and_symbol(arguments, schema)
    registry = Registry()
    name = symbol.strip("/").removeprefix(".").replace("/", ".")
    if schema.is_given:
        schema.load_files(registry)
        symbols = [name] if name else [service.full_name for service in registry.services]
    else:
        symbols = connection.run(target, partial(schema.load, registry=registry, symbol=name))
    described = [_describe(registry, name, with_template=with_template or as_json) for name in symbols]
    schema.write(registry.files[str(told["file"])] for told in described)
    if as_json:
        print_json(described)
        return 0
    for number, told in enumerate(described):
        if number:
            print_line()
        print_line(f"{told['name']} is {told['kind']}:")
        print_foreign(str(told["source"]).rstrip("\n"))
        if with_template and told.get("template") is not None:
            print_line()
            print_line("Template:")
            print_json(told["template"])
    return 0


def _describe(registry: Registry, name: str, *, with_template: bool) -> dict[str, object]:
    for file in registry.files.values():
        package = f"{file.package}." if file.package else ""
        if not name.startswith(package):
            continue
        try:
            kind, source = symbol_source(file, name)
        except LookupError:
            continue
        told: dict[str, object] = {"name": name, "kind": kind, "file": file.name, "source": source}
        message = _message_of(registry, name, kind) if with_template else None
        if message is not None:
            told["template"] = template(message)
        return told
    # The registry's own error says what names come near.
    for find in (registry.service, registry.message):
        try:
            find(name)
        except SchemaError as error:
            if "did you mean" in str(error):
                raise
    raise SchemaError(f"{name} is not in the schema")


def _message_of(registry: Registry, name: str, kind: str) -> MessageDescriptor | None:
    if kind == "a message":
        return registry.message(name)
    if kind == "a method":
        service, _, method = name.rpartition(".")
        return registry.method(f"{service}/{method}").input_type
    return None
