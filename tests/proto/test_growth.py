"""What n octets cost: near n, in steps and in memory, whatever is wrong with them; and at most so many findings."""

from __future__ import annotations

import gc
import sys
import time
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

import pytest

from puregrpc import proto
from puregrpc.errors import CompileError, SchemaError
from puregrpc.proto.diagnostics import MAX_DIAGNOSTICS, Diagnostic
from tests.proto.families import FAMILIES, HEAD2, Sources, repeated
from tests.proto.further_families import FURTHER
from tests.proto.more_families import MORE

SMALL = 2_500
"""Octets. Four times that is more than what names may have, which are repeated in the names of what is in them."""
GROWTH = 4
ALLOWED = GROWTH**1.2


class Listener:
    def __init__(self) -> None:
        self.errors = self.warnings = 0

    def report(self, diagnostic: Diagnostic) -> None:
        if diagnostic.is_warning:
            self.warnings += 1
        else:
            self.errors += 1


def compile_all(sources: Sources) -> Listener:
    """Compile, and write the descriptor with source info if there is one; nowhere are there too many findings."""
    listener = Listener()
    try:
        (file,) = proto.compile(["m.proto"], sources=sources, reporter=listener)
        file.to_proto(source_info=True)
    except CompileError as error:
        told = len(error.diagnostics)
    except SchemaError as error:
        told = 0 if "holds no text that is not UTF-8" in str(error) else -1
    else:
        told = 0
    assert told == listener.errors
    assert listener.errors <= MAX_DIAGNOSTICS
    assert listener.warnings <= MAX_DIAGNOSTICS
    return listener


@contextmanager
def counting() -> Iterator[list[int]]:
    """Count the lines that run, but for those of protobuf's pure-Python backend."""
    count = [0]

    def line(frame: FrameType, event: str, _: object) -> object:
        if event == "line":
            count[0] += 1
        elif event == "call" and frame.f_globals.get("__name__", "").startswith("google.protobuf."):
            return None
        return line

    before = sys.gettrace()
    sys.settrace(line)  # type: ignore[arg-type]
    try:
        yield count
    finally:
        sys.settrace(before)


def steps(sources: Sources) -> int:
    with counting() as count:
        compile_all(sources)
    return count[0]


def allocated(sources: Sources) -> int:
    gc.collect()  # so that what is collected meanwhile does not depend on what ran before
    tracemalloc.start()
    try:
        compile_all(sources)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.fixture(scope="module", autouse=True)
def _warm() -> None:
    for name in (
        "circles_of_imports",
        "custom_options",
        "names_that_are_unknown",
        "extension_ranges_with_options",
        "strings",
    ):
        compile_all(FAMILIES[name](SMALL))


@pytest.mark.parametrize("name", [*FAMILIES, *FURTHER])
def test_cost_grows_as_the_source_does(name: str) -> None:
    make = (FAMILIES | FURTHER)[name]
    small, large = make(SMALL), make(SMALL * GROWTH)
    compile_all(small)
    assert steps(large) <= ALLOWED * steps(small) + 2_000
    assert allocated(large) <= ALLOWED * allocated(small) + 50_000


def test_a_file_with_errors_costs_nothing_for_what_others_extend() -> None:
    make = MORE["files_with_errors_beside_many_extensions"]
    assert steps(make(40_000)) <= ALLOWED * steps(make(10_000))


# What does not show in steps shows in time: inside C, where regular expressions and copies are.
@pytest.mark.parametrize("name", [*FAMILIES, *MORE, *FURTHER])
def test_nothing_takes_long(name: str) -> None:
    """60 KB take less than a second of a machine that is not busy; what was quadratic took from six to minutes."""
    sources = (FAMILIES | MORE | FURTHER)[name](60_000)
    begin = time.process_time()
    compile_all(sources)
    assert time.process_time() - begin < 6


def test_findings_end_where_there_are_enough_of_them() -> None:
    source = HEAD2 + "import 'nope.proto';" * 600 + repeated(60_000, "message M{i} {{ optional N{i} n = 1; }}\n")
    assert compile_all({"m.proto": source}).errors == MAX_DIAGNOSTICS
    files: Sources = {f"f{index}.proto": f"{HEAD2} message M {{ optional N n = 1; }} }}" for index in range(1500)}
    files["m.proto"] = HEAD2 + "".join(f'import "f{index}.proto";' for index in range(1500))
    assert compile_all(files).errors == MAX_DIAGNOSTICS


def test_an_error_behind_a_thousand_warnings_is_one() -> None:
    clashing = repeated(120_000, "optional int32 fooBar{i} = 1{j}; optional int32 foo_bar{i} = 9{j}0;")
    source = f"{HEAD2}message M {{ {clashing} }} enum E {{ option allow_alias = true; A = 0; B = 0; }}"
    warned = compile_all({"m.proto": source})
    assert (warned.errors, warned.warnings) == (0, MAX_DIAGNOSTICS)
    wrong = compile_all({"m.proto": source.replace("option allow_alias = true;", "")})
    assert (wrong.errors, wrong.warnings) == (1, MAX_DIAGNOSTICS)


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        (f"package {'a.' * 200}a; message M {{}}", "The package has 201 parts, and 128 are taken at most."),
        (f"package {'a' * 5000};", "The full name of the package has 5000 bytes, and 4096 are taken at most."),
        (f"package p; message {'M' * 4095} {{}}", "The full name of the message has 4097 bytes"),
        (f"message {'M' * 3000} {{ message {'N' * 3000} {{}} }}", "The full name of the message has 6001 bytes"),
        (f"package p; service {'S' * 4096} {{}}", "The full name of the service has 4098 bytes"),
    ],
)
def test_names_that_are_too_long(source: str, problem: str) -> None:
    with pytest.raises(CompileError) as caught:
        proto.compile(["m.proto"], sources={"m.proto": HEAD2 + source})
    assert problem in str(caught.value)
    assert len(str(caught.value)) < 300


def test_short_names_in_a_long_package_are_too_long_together() -> None:
    """Each full name repeats the package: of few octets come many."""
    source = f"{HEAD2}package {'a' * 4000}; {repeated(3_000, 'message M{i} {{}}')}"
    with pytest.raises(CompileError, match=r"Names are too long: the scopes of \d+ names have \d+ bytes together"):
        proto.compile(["m.proto"], sources={"m.proto": source})


def test_names_as_long_as_they_may_be() -> None:
    source = f"{HEAD2}package {'a.' * 127}a; message {'M' * 3000} {{ message {'N' * 800} {{ optional int32 f = 1; }} }}"
    (file,) = proto.compile(["m.proto"], sources={"m.proto": source})
    assert len(file.messages[0].nested_types[0].full_name) == 255 + 3000 + 800 + 2
