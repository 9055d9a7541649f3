"""The rooms of src/puregrpc and who may import whom, held as data and enforced from the imports."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src" / "puregrpc"

ROOMS: dict[str, set[str]] = {
    "kernel": set(),
    "wire": set(),
    "proto": set(),
    "metrics": set(),
    "schema": {"proto"},
    "codec": {"schema", "proto"},
    "trace": {"wire", "codec", "schema", "proto"},
    "transport": {"kernel", "wire"},
    "channel": {"kernel", "transport", "wire", "codec", "schema", "proto"},
    "server": {"kernel", "transport", "wire", "codec", "schema", "proto"},
    "services": {"channel", "server", "kernel", "schema", "codec", "wire", "proto"},
    "client": {"channel", "services", "schema", "codec", "metrics", "wire", "transport", "kernel", "proto"},
    "load": {"client", "channel", "services", "schema", "codec", "metrics", "wire", "transport", "kernel", "proto"},
    "fuzz": {"channel", "server", "transport", "services", "schema", "codec", "proto", "wire", "trace", "kernel"},
    "testing": {"channel", "server", "transport", "wire", "schema", "fuzz", "kernel"},
    "integrations": {"client", "channel", "server", "metrics", "testing", "fuzz", "proto", "schema"},
    "cli": {
        "kernel", "wire", "proto", "metrics", "schema", "codec", "trace", "transport", "channel", "server", "services",
        "client", "load", "fuzz",
    },
}  # fmt: skip
"""Room -> the rooms it may import. Any room may import errors.py and the modules beside the rooms that begin with _."""

FOLDERS: dict[str, dict[str, set[str]]] = {
    "kernel": {
        "threads": {"network"},
        "loops": {"network"},
        "network": set(),
    },
    "channel": {
        "service_config": set(),
        "backends": set(),
        "calls": {"backends", "service_config"},
        "blocking": {"calls", "backends"},
    },
    "client": {
        "results": set(),
        "params": {"results"},
        "calls": {"params", "results"},
        "network": {"calls", "params", "results"},
        "streams": {"network", "calls", "params", "results"},
    },
    "codec": {
        "wire_format": set(),
        "values": {"wire_format"},
        "well_known": {"values", "wire_format"},
        "generation": {"well_known", "values", "wire_format"},
    },
    "load": {"outputs": set()},
    "fuzz": {
        "frames": set(),
        "values": set(),
        "own_tests": {"values"},
        "cases": {"frames", "values"},
        "checks": {"cases", "frames", "values"},
        "connection": {"checks", "cases", "frames", "values"},
        "measures": {"connection", "checks", "cases", "frames", "values"},
        "phases": {"connection", "checks", "cases", "frames", "values"},
        "engine": {"phases", "measures", "connection", "checks", "cases", "frames", "values"},
        "reports": {"engine", "checks", "cases", "frames", "values"},
        "misbehaving": {"engine", "phases", "checks", "cases", "frames", "values"},
    },
    "trace": {"reading": set(), "explaining": set(), "showing": set()},
}
"""Room -> its folders -> those of the same room that each may import."""

PROTOBUF = "google.protobuf"
THIRD_PARTY: dict[str, set[str]] = {
    "wire": {"h2", "hpack", "hyperframe", "backports", "compression"},
    "proto": {PROTOBUF},
    "metrics": {"ddsketch"},
    "schema": {PROTOBUF},
    "codec": {PROTOBUF},
    "trace": {"hpack", "cryptography"},
    "kernel": {"trio", "exceptiongroup", "typing_extensions"},
    "transport": {"trio", "typing_extensions"},
    "channel": {"trio", "typing_extensions", PROTOBUF},
    "server": {"trio", "exceptiongroup", PROTOBUF},
    "services": {PROTOBUF},
    "client": {"trio", "typing_extensions", PROTOBUF},
    "load": set(),
    "fuzz": {"hypothesis", "hpack", PROTOBUF},
    "testing": {"typing_extensions", "hyperframe", "hpack"},
    "integrations": {"PyInstaller", "pytest", "locust", "opentelemetry", "typing_extensions"},
    "cli": {"click", "trio", PROTOBUF},
    "errors.py": set(),
    "_data.py": set(),
    "_locks.py": {"__pypy__"},
    "_loopback.py": set(),
    "_pages.py": set(),
    "_on_demand.py": set(),
    "_version.py": set(),
    "protos.py": {PROTOBUF},
    "__init__.py": set(),
    "__main__.py": set(),
}
"""Room or module -> what it may import besides the standard library and puregrpc."""

WORLD_MODULES = {
    "kernel.loops.asyncio_jobs", "kernel.loops.asyncio_kernel", "kernel.loops.asyncio_tasks",
    "kernel.loops.reading_loop", "kernel.loops.trio_jobs", "kernel.loops.trio_kernel",
    "transport.asyncio_session", "transport.asyncio_streams", "transport.trio_session",
}  # fmt: skip
"""The modules that know trio or asyncio: the rest of the library is written once. Types may be named anywhere."""

SANS_IO = {"wire", "proto"}
NOT_SANS_IO = {"socket", "ssl", "select", "selectors", "asyncio", "threading", "time", "random", "logging"}
MODULES_BESIDE_ROOMS = {
    "errors.py": set(),
    "_data.py": set(),
    "_locks.py": set(),
    "_loopback.py": set(),
    "_pages.py": {"_data.py"},
    "_on_demand.py": set(),
    "_version.py": set(),
    "protos.py": {"schema", "proto"},
    "__init__.py": set(ROOMS),
    "__main__.py": {"cli"},
}
"""Module -> the rooms it may import."""

PHASES = ("find", "parse", "locate", "link", "options", "check", "output")
"""The folders of proto, in the order in which they may import one another: each only those before it."""

ABOVE_PHASES = {"__init__", "compiler"}
"""The modules of proto that run the phases. The others beside the folders import none of them."""

CYCLES: dict[frozenset[str], str] = {
    frozenset({"metrics.export", "metrics.registry", "metrics.summary"}): "a registry gives out its own export",
    frozenset({"schema.message_classes", "schema.registry"}): "a registry gives out classes, which ask it for files",
    frozenset({f"transport.thread_session.{name}" for name in ("reading", "session", "writing")}): (
        "types only: the parts of a session lead back to it"
    ),
    frozenset(
        {
            "server.ageing", "server.calls.incoming", "server.calls.on_threads", "server.calls.streaming",
            "server.calls.unary", "server.connections", "server.context", "server.interceptor", "server.mixing",
            "server.room", "server.routing", "server.session",
        }
    ): "types only: a handler's context leads back to its call, its connection and its server",
}  # fmt: skip
"""Modules of a room that import one another in a circle, types included, and why they may."""

FILES = sorted(SOURCE.rglob("*.py"))


def owner_of(path: Path) -> str:
    return path.relative_to(SOURCE).parts[0]


def imports_of(path: Path) -> set[str]:
    """Full names of the modules that a file imports, wherever in it the import stands."""
    package = ("puregrpc", *path.relative_to(SOURCE).parts[:-1])
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = list(package[: len(package) - node.level + 1]) if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            found.add(module)
            if module in ("puregrpc", "google"):
                found.update(f"{module}.{alias.name}" for alias in node.names)
    return found


def rooms_in(names: set[str]) -> set[str]:
    return {name.split(".")[1] for name in names if name.startswith("puregrpc.")} & set(ROOMS)


def standard_library() -> frozenset[str]:
    return sys.stdlib_module_names


def third_party_in(names: set[str]) -> set[str]:
    found = set()
    for name in names:
        top = name.split(".")[0]
        if top == "google" and name != "google":
            found.add(".".join(name.split(".")[:2]))
        elif top not in {"puregrpc", "google", "__future__"} and top not in standard_library():
            found.add(top)
    return found


@pytest.mark.parametrize("room", sorted({"puregrpc", *(f"puregrpc.{room}" for room in ROOMS)}))
def test_every_public_name_is_there(room: str) -> None:
    package = import_module(room)
    assert [name for name in getattr(package, "__all__", ()) if not hasattr(package, name)] == []


def test_every_folder_is_a_room() -> None:
    folders = {p.name for p in SOURCE.iterdir() if p.is_dir() and p.name != "__pycache__"}
    assert folders <= set(ROOMS)
    for folder in folders:
        assert (SOURCE / folder / "__init__.py").exists()


def test_no_cycle_in_the_table() -> None:
    done: set[str] = set()
    while len(done) < len(ROOMS):
        free = {room for room, may in ROOMS.items() if room not in done and may <= done}
        assert free, f"a cycle among {sorted(set(ROOMS) - done)}"
        done |= free


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(SOURCE)))
def test_imports(path: Path) -> None:
    names = imports_of(path)
    owner = owner_of(path)
    allowed_rooms = ROOMS[owner] | {owner} if owner in ROOMS else MODULES_BESIDE_ROOMS[owner]
    assert rooms_in(names) <= allowed_rooms, "a room that the table does not allow"
    assert third_party_in(names) <= THIRD_PARTY[owner], "a library that the table does not allow"
    if owner in SANS_IO:
        assert not {name.split(".")[0] for name in names} & NOT_SANS_IO


def imports_that_run(path: Path) -> set[str]:
    """The names of packages that a file imports, other than for types."""
    found: set[str] = set()
    pending: list[ast.AST] = [ast.parse(path.read_text(encoding="utf-8"))]
    while pending:
        node = pending.pop()
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            pending += node.orelse
            continue
        if isinstance(node, ast.Import):
            found.update(alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            found.add(str(node.module).split(".")[0])
        pending += ast.iter_child_nodes(node)
    return found


def test_event_loops_are_known_to_few_modules() -> None:
    library = {name: path for name, path in MODULES.items() if name.split(".")[0] not in ("cli", "integrations")}
    knowing = {name for name, path in library.items() if imports_that_run(path) & {"trio", "asyncio"}}
    assert knowing == WORLD_MODULES


NOT_WHOLE = {"threading.Condition", "threading.Event", "threading.RLock", "threading.Semaphore"}
"""What an exception from a signal may leave held; `puregrpc._locks` and `kernel.threads.waking` stand for them."""


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(SOURCE)))
def test_locks_are_whole_after_an_interrupt(path: Path) -> None:
    """A lock of `threading` is taken and let go of by hand, never by ``with``."""
    if module_name(path) in ("_locks", "kernel.threads.mutex", "kernel.threads.waking"):
        return  # which are made for that
    tree = ast.parse(path.read_text(encoding="utf-8"))
    calls = {ast.unparse(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
    assert not calls & NOT_WHOLE
    held = {
        ast.unparse(item.context_expr) for node in ast.walk(tree) if isinstance(node, ast.With) for item in node.items
    }
    assert "threading.Lock" not in calls or not any(name.lower().endswith("lock") for name in held)


@pytest.mark.parametrize("room", FOLDERS)
def test_folders_of_a_room(room: str) -> None:
    folders = {path.parent.name for path in (SOURCE / room).glob("*/__init__.py")}
    assert folders == set(FOLDERS[room])
    for folder in folders:
        for path in (SOURCE / room / folder).rglob("*.py"):
            names = imports_of(path)
            beside = {other for other in folders if any(f"{n}.".startswith(f"puregrpc.{room}.{other}.") for n in names)}
            assert beside <= FOLDERS[room][folder] | {folder}, path


def module_name(path: Path) -> str:
    """The name of a module without that of the package: ``proto.link.linker``; a folder's for its ``__init__``."""
    parts = path.relative_to(SOURCE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_name(path): path for path in FILES}


def modules_imported_by(path: Path) -> set[str]:
    """The modules of puregrpc that a file imports, wherever in it the import stands, types included."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}: imports are absolute"
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                found.add(whole if whole.removeprefix("puregrpc.") in MODULES else str(node.module))
    return {name.removeprefix("puregrpc.") for name in found} & MODULES.keys()


def circles(imports: dict[str, set[str]]) -> list[frozenset[str]]:
    """The largest sets of modules each of which leads to all of the others."""

    def reached(start: str) -> set[str]:
        found: set[str] = set()
        pending = [start]
        while pending:
            new = imports[pending.pop()] - found
            found |= new
            pending += new
        return found

    reach = {name: reached(name) for name in imports}
    return list({frozenset(other for other in reach[name] if name in reach[other]) for name in imports} - {frozenset()})


def test_no_circles_between_modules() -> None:
    """Neither for imports that run nor for those of types only: one reads a module after those that it imports."""
    found = circles({name: modules_imported_by(path) for name, path in MODULES.items()})
    unlisted = [sorted(circle) for circle in found if not any(circle <= listed for listed in CYCLES)]
    assert not unlisted, "modules that import one another"
    gone = [sorted(listed) for listed in CYCLES if not any(circle <= listed for circle in found)]
    assert not gone, "listed, and no longer a circle: take it off the list"


def test_every_folder_of_the_compiler_is_a_phase() -> None:
    assert {path.parent.name for path in (SOURCE / "proto").glob("*/__init__.py")} == set(PHASES)


@pytest.mark.parametrize("path", sorted((SOURCE / "proto").rglob("*.py")), ids=lambda p: str(p.relative_to(SOURCE)))
def test_phases_of_the_compiler_import_those_before_them(path: Path) -> None:
    _, *folder, name = path.relative_to(SOURCE).with_suffix("").parts
    if not folder and name in ABOVE_PHASES:
        return
    before = PHASES[: PHASES.index(folder[0]) + 1] if folder else ()
    for imported in modules_imported_by(path):
        room, *rest = imported.split(".")
        if room == "proto":
            assert rest, "the modules that it needs are to be named"
            assert rest[0] in before or rest[0] not in {*PHASES, *ABOVE_PHASES}, imported


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(SOURCE)))
def test_every_module_says_what_it_is_for(path: Path) -> None:
    assert ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))


def loaded_by(code: str) -> set[str]:
    """The modules that a fresh interpreter has after running ``code``, and parents of such modules."""
    command = f"{code}\nimport sys\nprint(*sys.modules)"
    environment = {**os.environ, "PYTHONPATH": str(SOURCE.parent)}
    result = subprocess.run(
        [sys.executable, "-c", command], env=environment, capture_output=True, text=True, timeout=60, check=True
    )
    return set(result.stdout.split())


@pytest.mark.parametrize(
    ("code", "not_loaded"),
    [
        (
            "import puregrpc",
            {"trio", "ssl", "google.protobuf", "puregrpc.client", "puregrpc.channel", "puregrpc.server"},
        ),
        (
            "from puregrpc import Client, Stream; import puregrpc.client.network.connection",
            {
                "trio",
                "asyncio",
                "puregrpc.server",
                "puregrpc.services",
                "puregrpc.cli",
                "google.protobuf.descriptor_pb2",
            },
        ),
        (
            "from puregrpc.channel import BlockingChannel",
            {"trio", "asyncio", "google.protobuf", "puregrpc.server", "puregrpc.proto", "puregrpc.codec", "hpack"},
        ),
        (
            "from puregrpc import AsyncClient, open_channel",
            {"puregrpc.server", "puregrpc.services", "puregrpc.cli", "puregrpc.transport.thread_session"},
        ),
        ("from puregrpc import Server", {"puregrpc.client", "puregrpc.channel", "puregrpc.cli"}),
    ],
    ids=lambda value: value.split(";")[0] if isinstance(value, str) else "",
)
def test_what_a_program_does_not_use_is_not_loaded(code: str, not_loaded: set[str]) -> None:
    assert not loaded_by(code) & not_loaded
