"""Certificates and TLS contexts for tests, made once. Without trustme, tests that need them are skipped."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Callable
from functools import cache, wraps
from importlib.util import find_spec
from typing import TYPE_CHECKING, ParamSpec, TypeVar

import pytest

from puregrpc.kernel.network.tls import TlsLayer

if TYPE_CHECKING:
    import trustme

WITH_CERTIFICATES = pytest.mark.skipif(find_spec("trustme") is None, reason="trustme is not installed")
"""For tests whose tasks ask for what is here: a task that skips would skip nothing."""

P = ParamSpec("P")
T = TypeVar("T")

VERSIONS = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}


_making = threading.RLock()


def once(make: Callable[P, T]) -> Callable[P, T]:
    """As `functools.cache`, and if several threads ask at once, they are given the same too."""
    cached = cache(make)

    @wraps(make)
    def made(*arguments: P.args, **keywords: P.kwargs) -> T:
        with _making:
            return cached(*arguments, **keywords)  # type: ignore[arg-type]  # they are hashable

    return made


@once
def authority() -> trustme.CA:
    made: trustme.CA = pytest.importorskip("trustme", reason="trustme is not installed").CA()
    return made


@once
def issued(*names: str) -> trustme.LeafCert:
    """A certificate for these names."""
    return authority().issue_cert(*names)


@once
def contexts(version: str = "1.3", *, alpn: str | None = "h2") -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """A client's and a server's that trust each other; the server is ``localhost`` and ``127.0.0.1``."""
    client = ssl.create_default_context()
    authority().configure_trust(client)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    issued("localhost", "127.0.0.1").configure_cert(server)
    for context in (client, server):
        context.minimum_version = context.maximum_version = VERSIONS[version]
        if alpn is not None:
            context.set_alpn_protocols([alpn])
    return client, server


def layers(version: str = "1.3") -> tuple[TlsLayer, TlsLayer]:
    """A client's and a server's layer before the handshake."""
    client, server = contexts(version)
    return TlsLayer(client, server_name="localhost"), TlsLayer(server, server_side=True)


def shake_hands(client: TlsLayer, server: TlsLayer) -> None:
    """Do the handshake, and take what TLS 1.3 sends after it."""
    is_over = [False, False]
    while not all(is_over):
        for index, (one, other) in enumerate(((client, server), (server, client))):
            is_over[index] = is_over[index] or one.handshake()
            if output := one.take_output():
                other.feed(output)
    assert client.read(1) is None
    assert server.read(1) is None
