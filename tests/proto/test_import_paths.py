"""Import paths: which spellings are taken, everywhere, and that no file leads out of the folders it was given."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import protoc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from puregrpc import Client, proto, protos
from puregrpc.cli.compile import main as compile_command
from puregrpc.cli.output import without_controls
from puregrpc.cli.schema_files import load_schema_files
from puregrpc.errors import CompileError, SchemaError
from puregrpc.proto import FolderResolver
from puregrpc.proto.find.import_paths import canonical_path, decode_path, encode_path, is_import_path
from puregrpc.schema import Registry, load_files

B = 'syntax = "proto3"; package b; message B {}\n'
SECRET = 'syntax = "proto3"; package secret; message Secret {}\n'
PROTOC = str(protoc.get_protoc_path())

REFUSED = [
    "./b.proto", "sub/../b.proto", "sub//b.proto", "/b.proto", "../outside/secret.proto", "sub/./b.proto", "b.proto/.",
    "b.proto/", ".", "..", "", "sub/..", "/", "//", "sub", "sub/", "loop.proto", "gone.proto", "b.proto/c.proto",
    "x" * 300 + ".proto", "/".join(["x" * 200] * 30), "a\\000.proto", "sub\\\\b.proto", "sub/link_to_nothing.proto",
]  # fmt: skip
TAKEN = [
    "b.proto",
    "sub/b.proto",
    "sub/link.proto",
    "linked/secret.proto",
    "b\\056proto",
    "caf\u00e9.proto",
    "..b.proto",
]


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of sources, the current one, with links out of it, and a folder beside it."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret.proto").write_text(SECRET)
    root = tmp_path / "root"
    (root / "sub").mkdir(parents=True)
    for name in ("b.proto", "sub/b.proto", "caf\u00e9.proto", "..b.proto"):
        package = "b" + "".join(filter(str.isalnum, name.encode().hex()))
        (root / name).write_text(B.replace("package b", f"package {package}"))
    (root / "loop.proto").symlink_to("loop.proto")
    (root / "sub" / "link_to_nothing.proto").symlink_to("nothing")
    (root / "sub" / "link.proto").symlink_to(outside / "secret.proto")
    (root / "linked").symlink_to(outside)
    monkeypatch.chdir(root)
    return root


def importing(root: Path, path: str) -> Path:
    main = root / "main.proto"
    main.write_text(f'syntax = "proto3"; import "{path}"; message Main {{}}\n', encoding="utf-8")
    return main


def commands_of_both(*arguments: str) -> tuple[list[str], list[str]]:
    """What protoc and our command say, and at last the exit status."""
    said = []
    for command in ([PROTOC], [sys.executable, "-m", "puregrpc", "compile"]):
        result = subprocess.run([*command, *arguments], capture_output=True, check=False, timeout=60)
        said.append([*result.stderr.decode("utf-8", "backslashreplace").splitlines(), str(result.returncode)])
    theirs, ours = said
    note = "  Note that the proto_path must be an exact prefix"
    theirs = [
        line.partition(note)[0].removesuffix(".") + ", spelt the way the file name begins." if note in line else line
        for line in theirs
    ]
    return theirs, ours


@pytest.mark.parametrize("path", [*REFUSED, *TAKEN], ids=lambda path: path[:40])
def test_imports_as_protoc_takes_them(root: Path, path: str) -> None:
    importing(root, path)
    theirs, ours = commands_of_both("-I.", "main.proto", f"-o{os.devnull}")
    assert ours == [without_controls(line) for line in theirs]
    assert (ours[-1] == "0") == (path in TAKEN)


EVERYWHERE: dict[str, Callable[[Path], object]] = {
    "compile": lambda root: proto.compile(["main.proto"], import_paths=[root]),
    "compile, no folder": lambda _: proto.compile(["main.proto"], import_paths=[""]),
    "sources": lambda root: proto.compile(
        ["main.proto"], sources={"main.proto": (root / "main.proto").read_bytes()}, import_paths=[root]
    ),
    "resolver": lambda root: proto.compile(["main.proto"], resolver=FolderResolver([root])),
    "load_files": lambda root: load_files(Registry(), [root], "main.proto"),
    "Client.load": lambda root: Client().load([str(root)], "main.proto"),
    "protos": lambda _: protos("main.proto"),
    "protos, absolute": lambda root: protos(root / "main.proto"),
    "--proto": lambda _: load_schema_files(Registry(), proto=["main.proto"], import_path=[], protoset=[]),
}


@pytest.mark.parametrize("way", EVERYWHERE)
@pytest.mark.parametrize("path", REFUSED, ids=lambda path: path[:40])
def test_imports_that_are_refused_everywhere(root: Path, path: str, way: str) -> None:
    importing(root, path)
    with pytest.raises(CompileError) as caught:
        EVERYWHERE[way](root)
    assert "main.proto:1:20: Import" in str(caught.value)


def test_an_absolute_import_is_not_read(root: Path) -> None:
    secret = root.parent / "outside" / "secret.proto"
    importing(root, str(secret))
    for way in EVERYWHERE.values():
        with pytest.raises(CompileError, match="File not found"):
            way(root)


class Recorder:
    """A resolver that remembers what it is asked for."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def find(self, path: str) -> str | None:
        self.asked.append(path)
        return None


def test_a_resolver_of_ones_own_is_not_asked_for_what_leads_out() -> None:
    recorder = Recorder()
    source = "".join(
        f'import "{path}";' for path in ("../a.proto", "/etc/passwd", "a//b.proto", "./c.proto", "d.proto")
    )
    with pytest.raises(CompileError) as caught:
        proto.compile(["m.proto"], sources={"m.proto": f'syntax = "proto3"; {source}'}, resolver=recorder)
    assert recorder.asked == ["d.proto"]
    assert '(write "a/b.proto")' in str(caught.value)


SPELLINGS = ["sub/b.proto", "./sub/b.proto", "sub//b.proto", "./sub/./b.proto", ".//sub///b.proto"]


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_a_file_has_one_name_however_a_program_spells_it(root: Path, spelling: str) -> None:
    (file,) = proto.compile([spelling], import_paths=[root])
    assert file.name == "sub/b.proto"
    assert proto.compile([spelling], sources={"./sub/b.proto": B})[0].name == "sub/b.proto"
    registry = Registry()
    loaded = load_files(registry, [root], *SPELLINGS, spelling)
    assert {each.name for each in loaded} == {"sub/b.proto"}
    assert list(registry.files) == ["sub/b.proto"]
    with Client() as client:
        client.load([str(root)], "sub/b.proto", spelling)
    assert protos(spelling).DESCRIPTOR is protos("sub/b.proto").DESCRIPTOR
    files = load_schema_files(Registry(), proto=[spelling, "sub/b.proto"], import_path=["."], protoset=[])
    assert {each.name for each in files} == {"sub/b.proto"}


@pytest.mark.parametrize("path", ["../outside/secret.proto", "sub/../b.proto", "..", "/etc/passwd"])
def test_names_that_go_up_are_refused(root: Path, path: str) -> None:
    with pytest.raises(CompileError, match="below an import path"):
        proto.compile([path], import_paths=[root])
    with pytest.raises(CompileError):
        load_files(Registry(), [root], path)


@pytest.mark.parametrize(
    "arguments",
    [
        ["-I.", "./sub/./b.proto"], ["-I.", "sub//b.proto"], ["-I.", "sub/../b.proto"], ["-Isub", "sub/../b.proto"],
        ["-I..", "../root/b.proto"], ["-I.", "../outside/secret.proto"],
        ["-I.", "-I../outside", "../outside/secret.proto"],
        ["-Isub", "sub/b.proto"], ["-I./sub/", "sub//b.proto"], ["-I.//", "b.proto"], ["-Isub", "-I.", "sub/b.proto"],
        ["-I.", "-Isub", "sub/b.proto"], ["-Isub", "-I.", "b.proto"], ["-Inone", "b.proto"],
        ["-Inone", "-I.", "b.proto"],
        ["-Inone:./none2:.", "b.proto"], ["-I.", "sub"], ["-I.", "loop.proto"], ["-I.", "sub/link_to_nothing.proto"],
        ["-I.", "gone.proto"], ["-I.", "sub/b.proto", "./sub//b.proto"], ["sub/b.proto"], ["-I.", "b.proto/"],
        ["-I.", "b.proto/."], ["-Isub/..", "b.proto"], ["-Isub/..", "sub/../b.proto"], ["-I.", "linked/../b.proto"],
        ["-Isub", "./b.proto"], ["-I.", "..b.proto"], ["-I.", "sub/link.proto"], ["-I.", "linked/secret.proto"],
        ["-I.", "."], ["-I.", ".."],
    ],
    ids=" ".join,
)  # fmt: skip
def test_names_on_the_command_line(root: Path, arguments: list[str]) -> None:
    theirs, ours = commands_of_both(*arguments, "-oset.pb")
    assert ours == theirs
    if ours[-1] == "0":
        ours_set = Path("set.pb").read_bytes()
        subprocess.run([PROTOC, *arguments, "-oset.pb"], capture_output=True, check=True, timeout=60)
        assert ours_set == Path("set.pb").read_bytes()


def test_a_set_does_not_make_stubs_lie_outside_their_folder(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (file,) = proto.compile(["b.proto"], import_paths=[root])
    described = file.to_proto()
    described.name = "../../b.proto"
    Path("set.pb").write_bytes(b"\x0a" + bytes([described.ByteSize()]) + described.SerializeToString())
    assert compile_command(["--descriptor_set_in=set.pb", "--pyi=stubs/inner", "../../b.proto"]) == 1
    assert "Not a name for a file below stubs/inner" in capsys.readouterr().err
    assert not list(root.rglob("*.pyi"))


def test_proto_files_that_are_hidden_or_outside(root: Path) -> None:
    with pytest.raises(SchemaError, match=r"hidden by sub/b\.proto"):
        load_schema_files(Registry(), proto=["b.proto"], import_path=["sub", "."], protoset=[])
    with pytest.raises(SchemaError, match="not below an import path"):
        load_schema_files(Registry(), proto=["../outside/secret.proto"], import_path=["."], protoset=[])
    (file,) = load_schema_files(Registry(), proto=[str(root / "b.proto")], import_path=["linked/../root"], protoset=[])
    assert file.name == "b.proto"


def test_what_goes_up_from_a_link_goes_up_from_where_it_leads(root: Path) -> None:
    (root / "deep" / "deeper").mkdir(parents=True)
    (root / "short").symlink_to("deep/deeper")
    (root / "deep" / "here.proto").write_text(B.replace("package b", "package from_a_link"))
    assert protos("short/../here.proto").DESCRIPTOR.package == "from_a_link"


def test_what_cannot_be_read_is_a_finding(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if os.getuid() == 0:  # whom nothing is denied

        def denied(path: str, *_: object) -> int:
            raise PermissionError(13, "Permission denied", path)

        monkeypatch.setattr("os.open", denied)
    else:
        (root / "b.proto").chmod(0)
    with pytest.raises(CompileError, match=r"b\.proto: Read access is denied for file: .*b\.proto"):
        proto.compile(["b.proto"], import_paths=[root])


class Failing:
    def find(self, path: str) -> str | None:
        raise OSError(5, "Input/output error", path)


def test_a_resolver_that_fails_is_a_finding() -> None:
    with pytest.raises(CompileError, match=r"m\.proto: The file cannot be read: Input/output error"):
        proto.compile(["m.proto"], resolver=Failing())


@given(st.text("ab./", max_size=12))
def test_canonical_paths(path: str) -> None:
    plain = canonical_path(path)
    assert canonical_path(plain) == plain
    assert not is_import_path(path) or path == plain
    assert os.path.normpath("/x/" + plain) == os.path.normpath("/x/" + path) or path.startswith("/")
    if is_import_path(path):
        assert os.path.normpath("/root/" + path).startswith("/root/")


@given(st.binary(max_size=20))
def test_paths_are_bytes(raw: bytes) -> None:
    assert encode_path(decode_path(raw.decode("latin-1"))) == raw


MAPPED = [
    "-Iv=sub -I. main.proto",
    "-I. -Iv=sub main.proto",
    "-I. -Iv=sub v/b.proto",
    "-Iv=sub -I. sub/b.proto",
    "-I. -Iv=sub sub/b.proto",
    "-Iv/=sub -I. main.proto",
    "-Iv/b.proto=b.proto -I. main.proto",
    "-I. -Iv/b.proto=sub/b.proto main.proto",
    "-Iv= -I. main.proto",
    "-I=sub sub/b.proto",
    "-Iv=gone -I. main.proto",
    "-Iv=sub -Iv=. v/b.proto",
    "-Iv=. -Iv=sub sub/b.proto",
    "-Iv=linked v/secret.proto",
    "-Iv=sub v/../v/b.proto",
    "-Iv/w=sub v/w/b.proto",
    "-Iv=. ./sub/b.proto",
    "-Iequals=sign b.proto",
    "-I. equals=sign/b.proto",
]


@pytest.mark.parametrize("arguments", MAPPED)
def test_mappings_as_protoc_takes_them(root: Path, arguments: str) -> None:
    importing(root, "v/b.proto")
    (root / "equals=sign").mkdir()
    (root / "equals=sign" / "b.proto").write_text(B)
    theirs, ours = commands_of_both(*arguments.split(), f"-o{os.devnull}")
    assert ours == theirs


def test_a_mapped_folder_is_named_by_its_virtual_path(root: Path) -> None:
    for disk, name in (("sub", "v/b.proto"), ("sub/b.proto", "v")):
        folders = FolderResolver([("v", disk)])
        assert folders.import_path("sub/b.proto") == name
        assert folders.find(name) == (root / "sub" / "b.proto").read_bytes()
        assert folders.find("b.proto") is None
