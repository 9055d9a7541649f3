"""A plugin for pytest: ``pytest --grpc-fuzz TARGET`` adds a test for each method, which `puregrpc.fuzz` runs.

A test fails where the method has a finding. The schema is the server's reflection, or ``--grpc-fuzz-proto FILE``.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from puregrpc.proto.descriptors import MethodDescriptor
    from puregrpc.schema import Registry

__all__ = ["FuzzItem", "pytest_addoption", "pytest_collection_modifyitems"]

PLUMBING = ("grpc.reflection.", "grpc.health.", "grpc.channelz.")


def pytest_addoption(parser: pytest.Parser, pluginmanager: pytest.PytestPluginManager) -> None:
    """The options."""
    _import_as_ever(pluginmanager)
    group = parser.getgroup("puregrpc", "fuzzing gRPC servers")
    group.addoption("--grpc-fuzz", metavar="TARGET", help="Fuzz the gRPC server at host:port (plaintext, on loopback).")
    group.addoption("--grpc-fuzz-time", type=float, default=10.0, metavar="SECONDS", help="For each method (10).")
    group.addoption("--grpc-fuzz-proto", metavar="FILE", help="The schema, where the server has no reflection.")
    group.addoption("--grpc-fuzz-method", metavar="GLOB", default="*", help="Only these methods: pkg.Service/Method.")
    group.addoption("--grpc-fuzz-seed", type=int, default=0, metavar="N", help="What chance begins with (0).")


def _import_as_ever(pluginmanager: pytest.PytestPluginManager) -> None:
    """Have this library imported as without pytest.

    pytest parses each module of a distribution that has a plugin to rewrite its asserts. There are none here, many
    modules are imported when they are needed, in any thread, and CPython 3.11 fails where two threads parse at once.
    pytest has no name of its own for this; without that of today all is rewritten.
    """
    marked = getattr(getattr(pluginmanager, "rewrite_hook", None), "_must_rewrite", None)
    if isinstance(marked, set):
        marked.discard("puregrpc")


def pytest_collection_modifyitems(session: pytest.Session, config: pytest.Config, items: list[pytest.Item]) -> None:
    """Add the tests."""
    target = config.getoption("--grpc-fuzz")
    if target:
        items.extend(_items(session, config, str(target)))


def _items(session: pytest.Session, config: pytest.Config, target: str) -> Iterator[FuzzItem]:
    from fnmatch import fnmatchcase

    from puregrpc.errors import Error
    from puregrpc.fuzz.engine.options import is_destructive

    host = target.rpartition(":")[0]
    if not host.startswith(("127.", "localhost", "[::1]")):
        raise pytest.UsageError(f"--grpc-fuzz {target}: only servers on loopback; use puregrpc fuzz for others")
    try:
        registry = _schema(target, config.getoption("--grpc-fuzz-proto"))
    except Error as error:
        raise pytest.UsageError(f"--grpc-fuzz {target}: {error}") from None
    pattern = str(config.getoption("--grpc-fuzz-method"))
    for service in registry.services:
        for method in service.methods:
            name = method.path.removeprefix("/")
            if name.startswith(PLUMBING) or is_destructive(method.name) or not fnmatchcase(name, pattern):
                continue
            yield FuzzItem.from_parent(
                session, name=f"grpc-fuzz[{name}]", target=target, registry=registry, method=method
            )


def _schema(target: str, proto: str | None) -> Registry:
    from puregrpc.client.network.blocking import BlockingConnection
    from puregrpc.client.params.connect import connect_params
    from puregrpc.schema import Registry, load_files

    registry = Registry()
    if proto:
        load_files(registry, [Path(proto).parent], Path(proto).name)
    else:
        params = connect_params({"plaintext": True, "reflect": True}, {})
        BlockingConnection.open(target, params, registry).close()
    return registry


class FuzzFailure(Exception):  # noqa: N818 - what pytest shows
    """A method has findings."""


class FuzzItem(pytest.Item):
    """The test of one method."""

    def __init__(self, *, target: str, registry: Registry, method: MethodDescriptor, **more: Any) -> None:
        super().__init__(**more)
        self._target = target
        self._registry = registry
        self._method = method

    def runtest(self) -> None:
        """Run the fuzzer for the method."""
        from puregrpc.fuzz.connection.connecting import LinkOptions
        from puregrpc.fuzz.connection.target import Target
        from puregrpc.fuzz.engine.fuzzer import Fuzzer
        from puregrpc.fuzz.engine.options import Options
        from puregrpc.fuzz.reports.report import Describer, text_report

        host, _, port = self._target.rpartition(":")
        options = Options(
            time=self.config.getoption("--grpc-fuzz-time"),
            seed=self.config.getoption("--grpc-fuzz-seed"),
            authority=self._target,
        )
        with Target(LinkOptions(host.strip("[]"), int(port))) as process:
            report = Fuzzer(process, self._registry, [self._method], options).run()
        if report.findings:
            describer = Describer(self._registry, target=self._target, is_plaintext=True)
            raise FuzzFailure(text_report(report, describer))

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """The findings alone, without a traceback."""
        if isinstance(excinfo.value, FuzzFailure):
            return str(excinfo.value)
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Path, int | None, str]:
        """What stands at the head of a failure."""
        return Path(self._target), None, self.name
