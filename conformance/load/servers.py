"""The servers that scripts for k6 and puregrpc are tried on, and the files that they find beside them."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Thread

import trustme
from tests.load.hello import PROTO

import puregrpc.services
from puregrpc import BlockingServer
from puregrpc.services.demo import add_demo_services
from puregrpc.transport import TlsOptions

__all__ = ["Servers", "serving"]

MISSING = """
syntax = "proto3";
package missing;
service Missing {
  rpc Call(Nothing) returns (Nothing);
  rpc Stream(Nothing) returns (stream Nothing);
}
message Nothing {}
"""
"""A service that no server has."""


@dataclass(frozen=True)
class Servers:
    """Their addresses."""

    plain: str
    secure: str
    """With a certificate for localhost, of an authority of its own."""
    closing: str
    """Closes each connection at once."""
    deaf: str
    """Takes connections, and says nothing."""
    authority: bytes
    """Its certificate."""

    def write_files(self, folder: Path) -> None:
        """Write what scripts load and open."""
        (folder / "hello.proto").write_text(PROTO)
        (folder / "missing.proto").write_text(MISSING)
        protos = Path(puregrpc.services.__file__).parent / "protos"
        (folder / "grpcbin.proto").write_bytes((protos / "grpcbin.proto").read_bytes())
        (folder / "ca.pem").write_bytes(self.authority)

    @property
    def constants(self) -> dict[str, str]:
        """What both languages call them."""
        secure = f"localhost:{self.secure.rpartition(':')[2]}"
        return {"TARGET": self.plain, "SECURE": secure, "CLOSING": self.closing, "DEAF": self.deaf}


@contextmanager
def serving() -> Iterator[Servers]:
    """The servers, until it ends."""
    authority = trustme.CA()
    issued = authority.issue_cert("localhost")
    chain = b"".join(each.bytes() for each in issued.cert_chain_pems)
    server = BlockingServer("127.0.0.1:0")
    server.add_listener(
        "127.0.0.1:0", tls=TlsOptions(certificate_chain=chain, private_key=issued.private_key_pem.bytes())
    )
    add_demo_services(server)
    server.start()
    with socket.create_server(("127.0.0.1", 0)) as closing, socket.create_server(("127.0.0.1", 0)) as deaf:

        def close_each() -> None:
            while True:
                try:
                    connection, _ = closing.accept()
                except OSError:
                    return
                connection.close()

        Thread(target=close_each, daemon=True).start()
        plain, secure = server.addresses
        others = [f"127.0.0.1:{each.getsockname()[1]}" for each in (closing, deaf)]
        try:
            yield Servers(plain, secure, others[0], others[1], authority.cert_pem.bytes())
        finally:
            closing.shutdown(socket.SHUT_RDWR)
            server.stop(0)
            server.wait_for_termination(20)
