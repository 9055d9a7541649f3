"""What is shown on each platform: a server and clients of one program, with calls of all worlds that there are.

Prints how many calls a second a blocking client makes, one after the other. Of the arguments, ``--without-trio`` leaves
trio out, ``--definitions FOLDER`` is a folder with hello.proto, beside the program or in its bundle, and
``--certificate FILE`` a certificate of 127.0.0.1 and its key in PEM, for calls over TLS.
"""

import argparse
import asyncio
import sys
import time
from pathlib import Path
from typing import Any

from puregrpc import AsyncClient, BlockingServer, Client, Server, Stream, TlsOptions
from puregrpc.proto import compile as compile_protos
from puregrpc.server import Context
from puregrpc.services.demo import add_demo_services

SOURCE = """
syntax = "proto3"; package shown;
import "google/api/annotations.proto";
import "google/protobuf/timestamp.proto";
message Text { string text = 1; google.protobuf.Timestamp time = 2; }
service Twice { rpc Get(Text) returns (Text) { option (google.api.http) = {get: "/twice"}; } }
"""
SAY_HELLO = "hello.HelloService/SayHello"


class Twice:
    """Says everything twice."""

    def get(self, request: dict[str, Any], context: Context) -> dict[str, str]:
        """``text`` twice."""
        return {"text": request["text"] * 2}


def on_threads() -> None:
    """A blocking server and client: definitions that are compiled here, reflection, a stream, and the time of calls."""
    [file] = compile_protos(["shown.proto"], sources={"shown.proto": SOURCE})
    server = BlockingServer("127.0.0.1:0")
    server.add_service(file.services[0], Twice())
    add_demo_services(server)
    with Client() as client:
        client.connect(server.start()[0], plaintext=True, reflect=True)
        assert client.invoke("shown.Twice/Get", {"text": "ab"}).message["text"] == "abab"
        stream = Stream(client, "hello.HelloService/BidiHello")
        stream.write({"greeting": "Ada"})
        stream.end()
        assert [message["reply"] for message in stream] == ["hello Ada"]
        for _ in range(300):
            client.invoke(SAY_HELLO, {"greeting": "Bert"})
        began, calls = time.perf_counter(), 0
        while time.perf_counter() - began < 2:
            calls += client.invoke(SAY_HELLO, {"greeting": "Bert"}).message == {"reply": "hello Bert"}
        print(f"{calls / (time.perf_counter() - began):.0f} calls/s")
    server.stop(0).wait()


async def on_a_loop() -> None:
    """A server and a client of the loop that runs."""
    server = Server("127.0.0.1:0")
    add_demo_services(server)
    async with server, AsyncClient() as client:
        await client.connect(server.addresses[0], plaintext=True, reflect=True)
        assert (await client.invoke(SAY_HELLO, {"greeting": "Bert"})).message == {"reply": "hello Bert"}


def with_definitions(folder: Path) -> None:
    """A client that loads the definitions that came with the program."""
    with Client() as client:
        loaded = client.load([getattr(sys, "_MEIPASS", "") / folder], "hello.proto")
        assert f"/{SAY_HELLO}" in {method.full_method for method in loaded}, loaded
    print("definitions that came with it")


def over_tls(certificate: Path) -> None:
    """A blocking server and client that trusts its certificate."""
    server = BlockingServer("127.0.0.1:0", tls=TlsOptions(certificate_chain=certificate))
    add_demo_services(server)
    with Client() as client:
        client.connect(server.start()[0], tls={"cacerts": certificate.read_text()}, reflect=True)
        assert client.invoke(SAY_HELLO, {"greeting": "Bert"}).message == {"reply": "hello Bert"}
    server.stop(0).wait()
    print("calls over TLS")


def main() -> None:
    """All of it, or what the arguments leave."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--without-trio", action="store_true")
    parser.add_argument("--definitions", type=Path)
    parser.add_argument("--certificate", type=Path)
    arguments = parser.parse_args()
    on_threads()
    asyncio.run(on_a_loop())
    if not arguments.without_trio:
        import trio

        trio.run(on_a_loop)
    if arguments.definitions is not None:
        with_definitions(arguments.definitions)
    if arguments.certificate is not None:
        over_tls(arguments.certificate)


if __name__ == "__main__":
    main()
