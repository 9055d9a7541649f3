"""Requests for people's own tests, as Hypothesis strategies (the extra ``puregrpc[fuzz]``).

Messages come from the same tables as those of `puregrpc fuzz`: boundaries of every field, and what its name suggests.
Hypothesis makes them smaller: every choice is a number, and 0 is the simplest.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from google.protobuf.descriptor import Descriptor

from puregrpc.errors import InvalidArgument
from puregrpc.fuzz.values.choices import Choices
from puregrpc.fuzz.values.generate import Generator
from puregrpc.proto.descriptors import MessageDescriptor
from puregrpc.schema import Registry, load_files, load_protoset

if TYPE_CHECKING:
    from google.protobuf.message import Message
    from hypothesis.strategies import DrawFn, SearchStrategy

__all__ = ["given_request", "messages"]

F = TypeVar("F", bound=Callable[..., Any])


class _Drawn(Choices):
    """Choices that Hypothesis makes."""

    __slots__ = ("_draw", "_integers")

    def __init__(self, draw: DrawFn, integers: Callable[[int, int], SearchStrategy[int]]) -> None:
        super().__init__()
        self._draw = draw
        self._integers = integers

    def _number(self, most: int) -> int:
        value = self._draw(self._integers(0, most)) if most else 0
        self.drawn.append(value)
        return value

    def below(self, bound: int) -> int:
        return self._number(bound - 1)

    def flag(self, chance: float) -> bool:
        return chance >= 1.0 or bool(self._number(1))

    def member(self, numbers: Sequence[int], chance: float) -> int:  # noqa: ARG002 - Hypothesis has its own
        return self._number(len(numbers))

    def value(self, listed: int, more: int, common: int) -> int:  # noqa: ARG002
        return self._number(listed + more - 1)

    def count(self, bound: int, common: int, chance: float) -> int:  # noqa: ARG002
        return self._number(min(bound, common) - 1)


def messages(kind: MessageDescriptor | type[Message], *, registry: Registry | None = None) -> SearchStrategy[Any]:
    """A strategy for the messages of a type.

    For a google.protobuf class it gives objects of that class. For a descriptor of a `Registry`, which is to be given
    as well, it gives objects of the class that the registry has for it. Raises InvalidArgument for anything else.
    """
    from hypothesis import strategies

    if isinstance(kind, MessageDescriptor):
        if registry is None:
            raise InvalidArgument("messages() needs the registry that the descriptor is from")
        descriptor, known = kind, registry
        parse: Callable[[bytes], Any] = registry.message_class(kind).FromString
    else:
        described = getattr(kind, "DESCRIPTOR", None)
        if not isinstance(described, Descriptor):
            raise InvalidArgument(f"messages() takes a message class or a descriptor, not {kind!r}")
        known = registry or registry_of(described)
        descriptor = known.message(described.full_name)
        parse = kind.FromString
    generator = Generator(known)

    @strategies.composite
    def made(draw: DrawFn) -> Any:
        choices = _Drawn(draw, strategies.integers)
        return parse(generator.message(descriptor, choices))

    return made()


def registry_of(descriptor: Descriptor) -> Registry:
    """A registry with the file of a google.protobuf descriptor, and all that it imports."""
    from google.protobuf import descriptor_pb2

    protos: dict[str, descriptor_pb2.FileDescriptorProto] = {}
    pending = [descriptor.file]
    while pending:
        file = pending.pop()
        if file.name not in protos:
            proto = descriptor_pb2.FileDescriptorProto()
            file.CopyToProto(proto)
            protos[file.name] = proto
            pending += file.dependencies
    registry = Registry()
    registry.add_file_descriptor_protos(protos.values())
    return registry


def given_request(
    method: str,
    *,
    registry: Registry | None = None,
    proto: str | Path | None = None,
    protoset: str | Path | None = None,
) -> Callable[[F], F]:
    """A decorator: run a test with requests of a method, as ``@given(request=messages(...))`` does.

    ``method`` is ``pkg.Service/Method``; its schema is that of ``registry``, or of the .proto file ``proto`` (with
    imports from its folder), or of the descriptor set ``protoset``. The test is given ``request``. Raises SchemaError
    for a method that there is not, InvalidArgument without a schema.
    """
    if registry is None:
        registry = Registry()
        if proto is not None:
            load_files(registry, [Path(proto).parent], Path(proto).name)
        elif protoset is not None:
            load_protoset(registry, protoset)
        else:
            raise InvalidArgument("given_request() needs a schema: registry, proto or protoset")
    requests = messages(registry.method(method).input_type, registry=registry)

    def decorate(test: F) -> F:
        from hypothesis import given

        decorated: Any = given(request=requests)(test)
        result: F = decorated
        return result

    return decorate
