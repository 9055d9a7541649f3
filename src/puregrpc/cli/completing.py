"""What services and methods there are, for a shell that completes a command line.

The names come from --proto or --protoset if the line has them, else from the reflection of the line's target.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import fields, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from puregrpc.cli.options import ConnectionOptions, SchemaOptions
from puregrpc.errors import Error

if TYPE_CHECKING:
    import click
    from click.shell_completion import CompletionItem

    from puregrpc.channel import Channel
    from puregrpc.schema import Registry

__all__ = ["complete_method", "complete_service"]

PATIENCE = 2.0
"""How many seconds somebody who pressed Tab waits for a connection to the server, and for each of its answers."""


def complete_service(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The services whose names begin so."""
    from click.shell_completion import CompletionItem  # seldom needed

    return [CompletionItem(name) for name in _completed(context, parameter, incomplete, methods=False)]


def complete_method(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The services whose names begin so, with a slash behind; the methods where only one does."""
    from click.shell_completion import CompletionItem

    found = _completed(context, parameter, incomplete, methods=True)
    return [CompletionItem(name, type="nospace" if name.endswith("/") else "plain") for name in found]


def _completed(context: click.Context, parameter: click.Parameter, incomplete: str, *, methods: bool) -> Sequence[str]:
    values = context.params | {parameter.name or "": context.params.get(parameter.name or "")}
    schema = SchemaOptions(**_given(SchemaOptions, values))
    target = values.get("target") or next(iter(values.get("arguments") or ()), None)
    if not schema.is_given and not target:
        return ()
    connection = replace(ConnectionOptions(**_given(ConnectionOptions, values)), connect_timeout=PATIENCE)
    # Nobody wants to read errors while typing.
    with contextlib.suppress(Error, OSError, LookupError):
        return _Names(schema, connection, target or "").beginning(incomplete, methods=methods)
    return ()


def _given(kind: type[Any], values: dict[str, Any]) -> dict[str, Any]:
    """What the line has of the options, and what stands for those that the command does not have."""
    absent = {field.name: () if str(field.type).startswith("tuple") else None for field in fields(kind)}
    return absent | {name: values[name] for name in absent if values.get(name) is not None}


class _Names:
    """The services and methods that a command line can mean."""

    def __init__(self, schema: SchemaOptions, connection: ConnectionOptions, target: str) -> None:
        self.schema = schema
        self.connection = connection
        self.target = target

    def beginning(self, text: str, *, methods: bool) -> Sequence[str]:
        """Those that begin so."""
        from puregrpc.schema import Registry

        registry = Registry()
        if self.schema.is_given:
            self.schema.load_files(registry)
            return self._chosen(text, [service.full_name for service in registry.services], registry, methods=methods)
        return self.connection.run(self.target, partial(self._asked, text, registry, methods=methods))

    async def _asked(self, text: str, registry: Registry, channel: Channel, *, methods: bool) -> Sequence[str]:
        from puregrpc.services import open_reflection

        async with open_reflection(channel, metadata=self.schema.metadata(), timeout=PATIENCE) as reflection:
            services = await reflection.list_services()
            if methods and (service := _only(text, services)) is not None:
                await reflection.load(registry, [service])
            return self._chosen(text, services, registry, methods=methods)

    def _chosen(self, text: str, services: list[str], registry: Registry, *, methods: bool) -> Sequence[str]:
        if not methods:
            return [name for name in services if name.startswith(text)]
        service = _only(text, services)
        if service is None:
            return [f"{name}/" for name in services if name.startswith(text)]
        paths = [f"{service}/{method.name}" for method in registry.service(service).methods]
        return [path for path in paths if path.startswith(text)]


def _only(text: str, services: Sequence[str]) -> str | None:
    """The one service that a text can mean: by its name and a slash, or the only one that begins so."""
    name, slash, _ = text.partition("/")
    found = [service for service in services if (service == name if slash else service.startswith(name))]
    return found[0] if len(found) == 1 else None
