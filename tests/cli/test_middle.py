"""The man in the middle, between this program's client and server, in plaintext and over TLS."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import trio
import trustme
from tests.cli.conftest import Ran, serve_in_thread
from tests.trace.conversations import assert_every_octet_is_explained

from puregrpc.__main__ import main
from puregrpc.channel import open_channel
from puregrpc.cli.options import ConnectionOptions, SchemaOptions
from puregrpc.cli.trace import Forms, Middle
from puregrpc.errors import RpcError
from puregrpc.server import Server
from puregrpc.services.health import HealthService
from puregrpc.services.hello import HelloService
from puregrpc.services.reflection import ReflectionService
from puregrpc.trace import explain
from puregrpc.trace.reading import read_recordings
from puregrpc.transport import TlsOptions


def connection(**changes: object) -> ConnectionOptions:
    values: dict[str, object] = dict.fromkeys(ConnectionOptions.__slots__)
    values.update(
        plaintext=True, insecure=False, proxy_header=(), header=(), connect_timeout=5.0,
        max_header_list_size=1 << 18, max_message_size=4 << 20,
    )  # fmt: skip
    values.update(changes)
    return ConnectionOptions(**values)  # type: ignore[arg-type] # as the command line fills it


def forms(folder: Path) -> Forms:
    return Forms(
        schema=SchemaOptions((), (), ()),
        width=None,
        detail="content",
        html=None,
        pcapng=str(folder / "c.pcapng"),
        jsonl=str(folder / "c.jsonl"),
        as_json=False,
    )


@pytest.mark.parametrize("with_tls", [False, True])
def test_what_others_say_to_each_other(with_tls: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    authority = trustme.CA()
    certificate = authority.issue_cert("127.0.0.1", "localhost")
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    server_tls = TlsOptions(
        certificate_chain=b"".join(blob.bytes() for blob in certificate.cert_chain_pems),
        private_key=certificate.private_key_pem.bytes(),
    )
    client_tls = TlsOptions(root_certificates=authority.cert_pem.bytes())

    async def main() -> None:
        server = Server("127.0.0.1:0", tls=server_tls if with_tls else None)
        HelloService().add_to(server)
        with trio.fail_after(60):
            async with server, trio.open_nursery() as nursery:
                options = connection(plaintext=not with_tls, cacert=str(tmp_path / "ca.pem") if with_tls else None)
                middle = Middle(server.addresses[0], options, forms(tmp_path))
                (address,) = await nursery.start(middle.run, "127.0.0.1:0", server_tls if with_tls else None)
                for _ in range(2):
                    async with open_channel(address, tls=client_tls if with_tls else None) as channel:
                        call = channel.unary_unary("/hello.HelloService/SayHello")
                        assert await call(b"\n\x04Bert") == b"\n\nhello Bert"
                nursery.cancel_scope.cancel()
            middle.finish()

    trio.run(main)
    told = capsys.readouterr()
    assert told.out.count("ends the call with OK") == 2
    assert "listening on 127.0.0.1:" in told.err
    assert [line[:4] for line in told.out.splitlines() if "Connection preface" in line] == ["[1] ", "[2] "]
    clients = []
    for name in ("c.pcapng", "c-2.pcapng", "c.jsonl", "c-2.jsonl"):
        (recording,) = read_recordings((tmp_path / name).read_bytes())
        clients.append(recording.client)
        # The client's side is in the capture as it was on the wire, with the keys.
        assert bool(recording.encrypted) == (with_tls and "pcapng" in name)
        assert len(recording.key_log.splitlines()) in ((4, 5) if recording.encrypted else (0,))
        explanation = explain(recording)
        assert_every_octet_is_explained(explanation)
        assert explanation.problems() == ()
        assert [call.path for call in explanation.calls] == ["/hello.HelloService/SayHello"]
    assert clients[:2] == clients[2:]


def test_the_targets_reflection_names_what_passes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async def main() -> None:
        server = Server("127.0.0.1:0")
        HelloService().add_to(server)
        ReflectionService().add_to(server)
        with trio.fail_after(60):
            async with server, trio.open_nursery() as nursery:
                middle = Middle(server.addresses[0], connection(), forms(tmp_path))
                (address,) = await nursery.start(middle.run, "127.0.0.1:0", None)
                async with open_channel(address) as channel:
                    await channel.unary_unary("/hello.HelloService/SayHello")(b"\n\x04Bert")
                nursery.cancel_scope.cancel()
            middle.finish()

    trio.run(main)
    told, said = capsys.readouterr()
    assert "without names" not in said
    assert "message 0: hello.HelloRequest" in told
    assert "greeting" in told
    (recording,) = read_recordings((tmp_path / "c.jsonl").read_bytes())
    assert [call.path for call in explain(recording).calls] == ["/hello.HelloService/SayHello"], "and nothing else"


def test_a_certificate_that_is_not_there(run: Callable[..., Ran]) -> None:
    ran = run("trace", "--listen", "127.0.0.1:0", "--to", "127.0.0.1:1", "--listen-cert", "/no/such/file")
    assert (ran.status, ran.out) == (1, "")
    assert ran.err.startswith("puregrpc: --listen-cert '/no/such/file': No such file or directory")


def test_a_target_that_is_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async def main() -> None:
        with trio.fail_after(60):
            async with trio.open_nursery() as nursery:
                middle = Middle("127.0.0.1:1", connection(), forms(tmp_path))
                (address,) = await nursery.start(middle.run, "127.0.0.1:0", None)
                async with open_channel(address) as channel:
                    with pytest.raises(RpcError):
                        await channel.unary_unary("/a.B/C")(b"")
                nursery.cancel_scope.cancel()

    trio.run(main)
    assert "connection 1: could not connect to 127.0.0.1:1" in capsys.readouterr().err


def test_a_traced_call_over_tls(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    authority = trustme.CA()
    certificate = authority.issue_cert("localhost", "127.0.0.1")
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    tls = TlsOptions(
        certificate_chain=b"".join(blob.bytes() for blob in certificate.cert_chain_pems),
        private_key=certificate.private_key_pem.bytes(),
    )

    def make() -> Server:
        server = Server("127.0.0.1:0", tls=tls)
        HelloService().add_to(server)
        ReflectionService().add_to(server)
        return server

    with contextlib.contextmanager(serve_in_thread)(make) as address:
        target = f"localhost:{address.rpartition(':')[2]}"
        files = [f"--pcapng={tmp_path / 'c.pcapng'}", f"--cacert={tmp_path / 'ca.pem'}"]
        assert main(["trace", target, "hello.HelloService/SayHello", "-d", '{"greeting": "Bert"}', *files]) == 0
    assert "ends the call with OK" in capsys.readouterr().out
    (recording,) = read_recordings((tmp_path / "c.pcapng").read_bytes())
    assert recording.encrypted, "the capture is the encrypted one, with its key log"
    assert recording.notes[0].startswith("decrypted: TLS 1.3")
    assert [call.path for call in explain(recording).calls] == ["/hello.HelloService/SayHello"]


def test_tls_to_a_server_without(run: Callable[..., Ran], address: str, tmp_path: Path) -> None:
    """What is told is about the target, whichever way the schema comes."""
    (tmp_path / "a.proto").write_text('syntax = "proto3"; message M {} service S { rpc Do(M) returns (M); }')
    for schema in ((), ("--proto", str(tmp_path / "a.proto"))):
        ran = run("trace", address, "S/Do", "-d", "{}", *schema)
        assert (ran.status, ran.out, ran.err.count("\n")) == (1, "", 1)
        assert ran.err.startswith(f"puregrpc: the TLS handshake with {address} failed")
        assert "--plaintext" in ran.err


@pytest.mark.skipif(sys.platform == "win32", reason="needs signals")
@pytest.mark.parametrize("with_tls", [False, True])
def test_ctrl_c_writes_what_was_recorded(with_tls: bool, environment: dict[str, str], tmp_path: Path) -> None:
    authority = trustme.CA()
    certificate = authority.issue_cert("127.0.0.1")
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    tls = TlsOptions(
        certificate_chain=b"".join(blob.bytes() for blob in certificate.cert_chain_pems),
        private_key=certificate.private_key_pem.bytes(),
    )

    def make() -> Server:
        server = Server("127.0.0.1:0", tls=tls if with_tls else None)
        HealthService().add_to(server)
        ReflectionService().add_to(server)
        return server

    files = {form: tmp_path / f"c.{form}" for form in ("html", "jsonl", "pcapng")}
    options = [f"--{form}={path}" for form, path in files.items()]
    options += [f"--cacert={tmp_path / 'ca.pem'}"] if with_tls else ["-p"]
    with contextlib.contextmanager(serve_in_thread)(make) as address:
        command = [sys.executable, "-m", "puregrpc", "trace", address, "grpc.health.v1.Health/Watch", "-d", "{}"]
        with subprocess.Popen(
            [*command, *options], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
        ) as process:
            assert process.stdout is not None
            seen = ""
            while "SERVING" not in seen:
                line = process.stdout.readline()
                assert line, process.communicate()
                seen += line
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in err
    assert "Health/Watch" in out, "the ladder is told"
    assert "CANCEL" in out, "and how the call was ended"
    assert "SERVING" in files["html"].read_text()
    for form in ("jsonl", "pcapng"):
        (recording,) = read_recordings(files[form].read_bytes())
        assert [call.path for call in explain(recording).calls] == ["/grpc.health.v1.Health/Watch"]
