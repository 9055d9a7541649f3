"""What people use in tests of their own: strategies, a decorator, coverage feedback, the plugin of pytest."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given, settings
from tests.fuzz.zoo import ROOT, SHOP, free_port

import puregrpc.fuzz
from puregrpc import protos
from puregrpc.errors import InvalidArgument
from puregrpc.schema import Registry, load_files

pb: Any = protos(SHOP)


@given(order=puregrpc.fuzz.messages(pb.Order))
def test_a_class_gives_its_objects(order: Any) -> None:
    assert type(order) is pb.Order
    order.SerializeToString()


@puregrpc.fuzz.given_request("shop.v1.Shop/Quote", proto=SHOP)
@settings(max_examples=10)
def test_requests_of_a_method(request: Any) -> None:
    assert request.DESCRIPTOR.full_name == "shop.v1.Order"


def test_hypothesis_makes_them_smaller() -> None:
    @settings(max_examples=2000, database=None, derandomize=True)
    @given(order=puregrpc.fuzz.messages(pb.Order))
    def check(order: Any) -> None:
        assert not any(line.quantity > 100 for line in order.lines)

    with pytest.raises(AssertionError):
        check()


def test_messages_of_something_else() -> None:
    with pytest.raises(InvalidArgument, match="message class or a descriptor"):
        puregrpc.fuzz.messages(int)  # type: ignore[arg-type]


def test_lines_that_are_new_lead_on() -> None:
    registry = Registry()
    load_files(registry, [SHOP.parent], SHOP.name)

    def quote(order: Any) -> None:
        for line in order.lines:
            if line.quantity == -1:
                line.missing  # noqa: B018 - the fault
            if not line.quantity:
                raise ValueError("quantity")

    found = puregrpc.fuzz.fuzz_function(
        quote,
        registry.message("shop.v1.Order"),
        registry,
        cases=1500,
        prefix=str(ROOT / "tests"),
        expected=(ValueError,),
    )
    assert [type(failure.error) for failure in found] == [AttributeError]
    assert str(found[0].request) == "lines {\n  quantity: -1\n}\n"


def test_the_plugin_has_the_library_imported_as_without_pytest(pytestconfig: pytest.Config) -> None:
    """Its modules come when they are needed, in threads too, where pytest had better not parse them."""
    hook: Any = pytestconfig.pluginmanager.rewrite_hook
    assert "puregrpc" not in hook._must_rewrite
    assert puregrpc.fuzz.__spec__ is not None
    assert type(puregrpc.fuzz.__spec__.loader).__name__ == "SourceFileLoader"


@pytest.mark.slow
def test_the_plugin_of_pytest() -> None:
    port = free_port()
    server = subprocess.Popen(
        [sys.executable, "-m", "conformance.fuzz.zoo.grpcio_shop", str(port), "division"],
        cwd=ROOT,
        stderr=subprocess.DEVNULL,
    )
    try:
        done = subprocess.run(
            [
                sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-q", f"--grpc-fuzz=127.0.0.1:{port}",
                "--grpc-fuzz-time=2", f"--grpc-fuzz-proto={SHOP}", "--grpc-fuzz-method=*/Quote", "tests/fuzz/zoo.py",
            ],
            cwd=ROOT, capture_output=True, text=True, timeout=100, check=False,
        )  # fmt: skip
    finally:
        server.kill()
        server.wait()
    assert "internal-status /shop.v1.Shop/Quote" in done.stdout, done.stdout + done.stderr
    assert done.returncode == 1
