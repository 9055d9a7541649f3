"""The server that load runs are tried on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from puregrpc import BlockingServer
from puregrpc.services.hello import HelloService

__all__ = ["PROTO", "hello_server"]

PROTO = """
syntax = "proto3";
package hello;
service HelloService {
  rpc SayHello(HelloRequest) returns (HelloResponse);
  rpc LotsOfReplies(HelloRequest) returns (stream HelloResponse);
}
message HelloRequest { optional string greeting = 1; }
message HelloResponse { string reply = 1; }
"""


@contextmanager
def hello_server() -> Iterator[str]:
    """A server of the hello service; gives its address."""
    server = BlockingServer("127.0.0.1:0")
    HelloService().add_to(server)
    server.start()
    try:
        yield server.addresses[0]
    finally:
        server.stop(0)
        server.wait_for_termination(20)
