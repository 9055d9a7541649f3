"""Hints beside errors, warnings and the reporter that hears them."""

from __future__ import annotations

import pytest

from puregrpc import proto
from puregrpc.errors import CompileError
from puregrpc.proto.diagnostics import Diagnostic

HINTS = [
    ("message M { google.protobuf.Timestamp t = 1; }", 'import "google/protobuf/timestamp.proto" provides it'),
    ("message M { google.protobuf.StringValue t = 1; }", 'import "google/protobuf/wrappers.proto" provides it'),
    ("message M { .google.protobuf.Value t = 1; }", 'import "google/protobuf/struct.proto" provides it'),
    ("message M { google.rpc.Status s = 1; }", 'import "google/rpc/status.proto" provides it'),
    ("message M { google.type.LatLng s = 1; }", 'import "google/type/latlng.proto" provides it'),
    ("message Person {} message M { Persom p = 1; }", 'did you mean "Person"?'),
    ("message P { message Inner {} } message M { Inner p = 1; }", 'did you mean "P.Inner"?'),
    ("message M { strin p = 1; }", 'did you mean "string"?'),
    ("message M { option deprecatd = true; }", 'did you mean "deprecated"?'),
]


class Heard:
    """A reporter that keeps what it hears."""

    def __init__(self) -> None:
        self.diagnostics: list[Diagnostic] = []

    def report(self, diagnostic: Diagnostic) -> None:
        """Keep one."""
        self.diagnostics.append(diagnostic)


@pytest.mark.parametrize(("source", "hint"), HINTS)
def test_hints(source: str, hint: str) -> None:
    heard = Heard()
    with pytest.raises(CompileError) as caught:
        proto.compile(["m.proto"], sources={"m.proto": f'syntax = "proto3"; package p; {source}'}, reporter=heard)
    assert [diagnostic.hint for diagnostic in heard.diagnostics] == [hint]
    assert caught.value.diagnostics[0].endswith(f" ({hint})")


def test_no_hint_for_what_resembles_nothing() -> None:
    with pytest.raises(CompileError, match=r'm\.proto:1:32: "Xyzzy" is not defined\.$'):
        proto.compile(["m.proto"], sources={"m.proto": 'syntax = "proto3"; message M { Xyzzy x = 1; }'})


def test_warnings_reach_the_reporter_alone() -> None:
    heard = Heard()
    source = 'syntax = "proto3";\nimport "google/protobuf/any.proto";\nmessage M {}'
    proto.compile(["m.proto"], sources={"m.proto": source}, reporter=heard)
    (warning,) = heard.diagnostics
    assert str(warning) == "m.proto:2:1: warning: Import google/protobuf/any.proto is unused."


def test_a_reporter_may_stop_the_compiler() -> None:
    class StopError(Exception):
        """Enough."""

    class Stopper:
        def report(self, diagnostic: Diagnostic) -> None:
            raise StopError(str(diagnostic))

    with pytest.raises(StopError, match="File not found"):
        proto.compile(["nope.proto"], sources={}, reporter=Stopper())


@pytest.mark.parametrize(
    ("source", "hints"),
    [
        ('import "nope.proto"; message Int64Message {} message M { Int32Message m = 1; }', ["", "", ""]),
        ('import "bad.proto"; message Int64Message {} message M { Int32Message m = 1; }', ["", "", ""]),
        ('import "bad.proto"; message M { bad.Int64Message m = 1; strin s = 2; }', ["", "", "", ""]),
        ('import "nope.proto"; message M { option deprecatd = true; }', ["", ""]),
        ('import "google/protobuf/nope.proto"; message M { google.protobuf.Duration d = 1; }', ["", "", "import"]),
    ],
)
def test_no_hint_for_what_an_import_that_failed_may_declare(source: str, hints: list[str]) -> None:
    heard = Heard()
    sources = {"m.proto": f'syntax = "proto3"; {source}', "bad.proto": 'syntax = "proto3"; package bad; message {}'}
    with pytest.raises(CompileError):
        proto.compile(["m.proto"], sources=sources, reporter=heard)
    found = [diagnostic.hint for diagnostic in heard.diagnostics]
    assert [hint.split(" ")[0] for hint in found] == hints
