"""The methods that are known without being asked for: health's and reflection's own, and what a recording itself tells.

Reflection answers hold descriptors; the calls beside them can be read with these.
"""

from __future__ import annotations

from contextlib import suppress
from functools import cache

from puregrpc._data import resource
from puregrpc.codec.faults import FAULTS
from puregrpc.codec.wire_format.tags_and_varints import read_fields, varint
from puregrpc.errors import SchemaError
from puregrpc.proto import compile as compile_sources
from puregrpc.proto.descriptors import MethodDescriptor
from puregrpc.schema import Registry

__all__ = ["KnownMethods"]

STANDARD = {
    "grpc.health.v1.Health": "grpc/health/v1/health.proto",
    "grpc.reflection.v1.ServerReflection": "grpc/reflection/v1/reflection.proto",
    "grpc.reflection.v1alpha.ServerReflection": "grpc/reflection/v1alpha/reflection.proto",
}
"""The services of every server, and the files that they are in."""

FILE_DESCRIPTOR_RESPONSE, FILE_DESCRIPTOR_PROTO = 0x22, 0x0A
"""Tags of what a ServerReflectionResponse holds."""

MOST_FILES = 2_000
MOST_OCTETS = 16 << 20
MAX_DEPTH = 100

MOST_HINTS = 10
"""For so many methods that a schema does not have, those that come near are looked for."""


class KnownMethods:
    """Finds methods in a registry that was given, in what the recording tells, and among the standard services."""

    def __init__(self, given: Registry | None) -> None:
        self.given = given
        self._told: dict[bytes, None] = {}
        """Serialized FileDescriptorProtos, in the order in which they came."""
        self._octets = 0
        self._built = (0, Registry())
        self._is_all_there = False
        self._hints = 0

    @property
    def is_schema_given(self) -> bool:
        """Whether there is a schema that a method may be missing from."""
        return self.given is not None and bool(self.given.services)

    def method(self, path: str) -> tuple[MethodDescriptor, Registry]:
        """The method with a path, and the registry that it is from. Raises SchemaError."""
        for registry in filter(None, (self.given, self._from_recording(), _standard(path))):
            method = registry.find_method(path)
            if method is not None:
                return method, registry
        if self.given is not None and self._hints < MOST_HINTS:
            self._hints += 1
            self.given.method(path)
        raise SchemaError(f'method "/{path.removeprefix("/")}" not found in file descriptors')

    def has(self, path: str) -> bool:
        """Whether the method is known now that the whole recording was read."""
        self._is_all_there = True
        registries = filter(None, (self.given, self._from_recording(), _standard(path)))
        return any(registry.find_method(path) is not None for registry in registries)

    def learn(self, path: str, message: bytes) -> None:
        """A server sent a message: if it is an answer of reflection, keep the descriptors in it."""
        if not is_reflection(path):
            return
        with suppress(*FAULTS):
            for tag, start, end in read_fields(message, 0, len(message), MAX_DEPTH):
                if tag != FILE_DESCRIPTOR_RESPONSE:
                    continue
                for inner, begin, stop in read_fields(message, start, end, MAX_DEPTH):
                    if inner == FILE_DESCRIPTOR_PROTO:
                        self._keep(message[begin:stop])

    def _keep(self, file: bytes) -> None:
        if file not in self._told and len(self._told) < MOST_FILES and self._octets + len(file) <= MOST_OCTETS:
            self._told[file] = None
            self._octets += len(file)

    def _from_recording(self) -> Registry:
        """What was told, in a registry. Answers come in any order: files that others import may be told after them."""
        count, registry = self._built
        # As they come, whenever there are twice as many: each for itself would take quadratic time.
        if len(self._told) >= 2 * count + 1 or (self._is_all_there and count != len(self._told)):
            registry = Registry()
            with suppress(SchemaError):
                registry.add_file_descriptor_set(b"".join(map(_in_a_set, self._told)), source="reflection answers")
            if not registry.files:  # one of them is no good: each for itself
                for file in self._told:
                    with suppress(SchemaError):
                        registry.add_file_descriptor_proto(file)
            self._built = (len(self._told), registry)
        return registry


def is_reflection(path: str) -> bool:
    """Whether a path is that of reflection's method."""
    return path.startswith("/grpc.reflection.v1") and path.endswith(".ServerReflection/ServerReflectionInfo")


def _in_a_set(file: bytes) -> bytes:
    """A file as a field of a FileDescriptorSet."""
    return b"\x0a" + varint(len(file)) + file


def _standard(path: str) -> Registry | None:
    service = path.removeprefix("/").rpartition("/")[0]
    return _registry_of(STANDARD[service]) if service in STANDARD else None


@cache
def _registry_of(file: str) -> Registry:
    registry = Registry()
    source = resource("puregrpc.services", f"protos/{file}")
    for made in compile_sources([file], sources={file: source}):
        registry.add_file(made)
    return registry
