"""The compiler beside protoc: the same descriptors, the same source info, the same verdicts at the same places."""

from __future__ import annotations

import random
from importlib.metadata import distribution
from pathlib import Path

import pytest

from tests.proto.peer import INCLUDE, Verdict, mutate, our_verdict, protoc_verdict, write_sources
from tests.proto.sources import BAD, GOOD, ODD


def installed_protos() -> list[tuple[Path, str]]:
    """The .proto files of installed packages: (import path, path below it)."""
    found = [(INCLUDE, path.relative_to(INCLUDE).as_posix()) for path in sorted(INCLUDE.rglob("*.proto"))]
    for name in (
        "googleapis-common-protos",
        "grpcio-health-checking",
        "grpcio-reflection",
        "grpcio-status",
        "protobuf",
    ):
        package = distribution(name)
        root = Path(str(package.locate_file("")))
        found += [(root, str(file)) for file in package.files or () if file.suffix == ".proto"]
    return found


INSTALLED = installed_protos()


@pytest.mark.parametrize(("root", "name"), INSTALLED, ids=[name for _, name in INSTALLED])
def test_installed_protos(root: Path, name: str, tmp_path: Path) -> None:
    theirs = protoc_verdict([root], name, tmp_path)
    assert our_verdict([root], name) == theirs


@pytest.mark.parametrize("source", GOOD.values(), ids=GOOD.keys())
def test_good_sources(source: str, tmp_path: Path) -> None:
    write_sources(tmp_path, {"m.proto": source.encode("latin-1")})
    theirs = protoc_verdict([tmp_path], "m.proto", tmp_path)
    assert not theirs.errors
    assert our_verdict([tmp_path], "m.proto") == theirs


@pytest.mark.parametrize("source", BAD, ids=range(len(BAD)))
def test_bad_sources(source: str, tmp_path: Path) -> None:
    write_sources(tmp_path, {"m.proto": source.encode("latin-1")})
    theirs = protoc_verdict([tmp_path], "m.proto", tmp_path)
    ours = our_verdict([tmp_path], "m.proto")
    assert bool(ours.errors) == bool(theirs.errors)
    assert ours.places[:1] == theirs.places[:1]
    assert ours == theirs


@pytest.mark.parametrize("source", ODD, ids=range(len(ODD)))
def test_odd_sources(source: str, tmp_path: Path) -> None:
    write_sources(tmp_path, {"m.proto": source.encode("latin-1")})
    theirs = protoc_verdict([tmp_path], "m.proto", tmp_path)
    assert our_verdict([tmp_path], "m.proto") == theirs


@pytest.mark.parametrize("part", range(4))
def test_mutations(part: int, tmp_path: Path) -> None:
    """Seeded mutations of real files: the same verdict on each, the same first place on nearly each."""
    chance = random.Random(part)
    small = [(root, name) for root, name in INSTALLED if (root / name).stat().st_size < 20_000]
    same = differ = 0
    for _ in range(40):
        root, name = chance.choice(small)
        source = mutate((root / name).read_bytes(), chance)
        folder = tmp_path / "sources"
        write_sources(folder, {name: source})
        theirs = protoc_verdict([folder, root], name, tmp_path)
        ours = our_verdict([folder, root], name)
        (folder / name).unlink()
        assert bool(ours.errors) == bool(theirs.errors), (name, source, theirs.errors, ours.errors)
        if not theirs.errors:
            assert ours == theirs
        elif ours.places[:1] == theirs.places[:1]:
            same += 1
        else:
            differ += 1
    assert same >= 19 * differ


def test_several_files(tmp_path: Path) -> None:
    """Errors across files: imports that are missing, broken or go round in circles, names that clash."""
    sets = [
        {"m.proto": 'syntax = "proto3"; import "a.proto"; message M { A a = 1; }',
         "a.proto": 'syntax = "proto3"; mess'},
        {"m.proto": 'syntax = "proto3"; import "a.proto";', "a.proto": 'syntax = "proto3"; import "m.proto";'},
        {"m.proto": 'syntax = "proto3"; import "m.proto";'},
        {"m.proto": 'syntax = "proto3"; import "a.proto"; message A {}', "a.proto": 'syntax = "proto3"; message A {}'},
        {"m.proto": 'syntax = "proto3"; import "a.proto"; message M { B b = 1; }',
         "a.proto": 'syntax = "proto3"; import "b.proto";', "b.proto": 'syntax = "proto3"; message B {}'},
        {"m.proto": 'syntax = "proto3"; import "a.proto"; message M { B b = 1; }',
         "a.proto": 'syntax = "proto3"; import public "b.proto";', "b.proto": 'syntax = "proto3"; message B {}'},
        {"m.proto": 'syntax = "proto3"; package x; import "a.proto"; message M { a.A a = 1; message a {} }',
         "a.proto": 'syntax = "proto3"; package a; message A {}'},
        {"m.proto": 'edition = "2024"; import "a.proto"; message M { A a = 1; B.C c = 2; }',
         "a.proto": 'edition = "2024"; local message A {} message B { message C {} }'},
        {"m.proto": 'syntax = "proto3"; import "a.proto"; message M { E e = 1; }',
         "a.proto": 'syntax = "proto2"; enum E { A = 0; }'},
        {"m.proto": 'syntax = "proto3"; import "a.proto"; import "a.proto"; message M { A a = 1; }',
         "a.proto": 'syntax = "proto3"; message A {}'},
        {"m.proto": 'syntax = "proto3"; import "a.proto"; message M {}',
         "a.proto": 'syntax = "proto3"; option optimize_for = LITE_RUNTIME; message A {}'},
    ]  # fmt: skip
    for index, sources in enumerate(sets):
        folder = tmp_path / str(index)
        write_sources(folder, sources)
        theirs = protoc_verdict([folder], "m.proto", tmp_path)
        assert our_verdict([folder], "m.proto") == theirs


@pytest.mark.parametrize(
    "name",
    [
        "a.proto", "google/protobuf/a.proto", "google/a.proto", "upb/a.proto", "com/google/protobuf/a.proto",
        "conformance/test_protos/a.proto", "conformance/a.proto", "test_messages_edition_unstable_a.proto",
    ],
)  # fmt: skip
def test_who_may_use_the_unstable_edition(name: str, tmp_path: Path) -> None:
    write_sources(tmp_path / "sources", {name: 'edition = "UNSTABLE"; message M { int32 a = 1; }'})
    ours = our_verdict([tmp_path / "sources"], name)
    theirs = protoc_verdict([tmp_path / "sources"], name, tmp_path)
    assert bool(ours.errors) == bool(theirs.errors)
    assert ours.descriptor == theirs.descriptor


def test_verdicts_have_places() -> None:
    assert Verdict(("a.proto:3:4: x", "b.proto: y")).places == [("a.proto", "3", "4"), ("b.proto", "", "")]
