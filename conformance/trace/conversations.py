"""Conversations of grpcio and grpc-go with each other, recorded by `puregrpc trace` in the middle and explained.

Each must be explained without a gap, an unknown octet, an unknown field or a problem, and tshark's dissection of the
capture must be the same as ours. Usage: conversations.py FOLDER_OF_PEERS WORK_FOLDER; prints a table.
"""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import trustme

from conformance.trace.tshark import differences, dissect, ours
from puregrpc.proto import compile as compile_proto
from puregrpc.schema import Registry
from puregrpc.trace import Direction, Explanation, explain
from puregrpc.trace.reading import read_recordings

ROOT = Path(__file__).parents[2]
PROTOS = ROOT / "conformance" / "interop" / "protos"
GO_CASES = (
    "empty_unary", "large_unary", "client_streaming", "server_streaming", "ping_pong", "empty_stream",
    "custom_metadata", "status_code_and_message", "special_status_message", "unimplemented_method",
    "unimplemented_service", "cancel_after_begin", "cancel_after_first_response", "timeout_on_sleeping_server",
)  # fmt: skip
GRPCIO_CASES = (
    *GO_CASES, "client_compressed_unary", "server_compressed_unary", "server_compressed_streaming",
)  # fmt: skip


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def wait_for(port: int) -> None:
    for _ in range(200):
        with socket.socket() as sock:
            if sock.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    raise TimeoutError(f"nothing listens on port {port}")


@contextmanager
def running(*command: str, until: int | None = None, stop: signal.Signals = signal.SIGTERM) -> Iterator[str]:
    """A process while it is needed; yields its first line where no port says when it is ready."""
    out = subprocess.PIPE if until is None else subprocess.DEVNULL
    process = subprocess.Popen(command, stdout=out, stderr=subprocess.DEVNULL, text=True)
    try:
        if until is not None:
            wait_for(until)
        yield process.stdout.readline() if process.stdout is not None else ""
    finally:
        process.send_signal(stop)
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()


@contextmanager
def server(kind: str, peers: Path) -> Iterator[int]:
    if kind == "grpc-go":
        port = free_port()
        with running(str(peers / "grpc-go-interop-server"), "-port", str(port), until=port):
            yield port
        return
    with running(sys.executable, "-u", "-m", "conformance.interop.grpcio_server") as line:
        yield int(line.strip().rpartition(":")[2])


def run_client(kind: str, peers: Path, port: int) -> None:
    if kind == "grpc-go":
        for case in GO_CASES:
            command = [str(peers / "grpc-go-interop-client"), "-server_host", "127.0.0.1"]
            command += ["-server_port", str(port), "-test_case", case]
            subprocess.run(command, check=True, capture_output=True, timeout=60)
        return
    command = [sys.executable, "-m", "conformance.interop.grpcio_client", f"127.0.0.1:{port}", *GRPCIO_CASES]
    # What a case says of grpcio is not the question here: what was said on the wire is.
    subprocess.run(command, check=False, capture_output=True, timeout=120)


def registry() -> Registry:
    made = Registry()
    for file in compile_proto(["grpc/testing/test.proto"], import_paths=[str(PROTOS)]):
        made.add_file(file)
    return made


RESET = "the stream was reset before its end"
"""Said of a message that its sender has cut: one of the clients' calls has a deadline of a millisecond
(timeout_on_sleeping_server), which may pass in the middle of its request."""


def unexplained(explanation: Explanation) -> list[str]:
    """Octets that no leaf or more than one covers, and fields that the schema does not know."""
    found = []
    spans = sorted(span for part in explanation.leaves() for span in part.spans)
    for buffer in explanation.buffers:
        position = 0
        for span in spans:
            if span.buffer == buffer.number:
                if span.start != position:
                    found.append(f"{buffer.name}: octets {position} to {span.start}")
                position = span.end
        if position != len(buffer.data):
            found.append(f"{buffer.name}: octets {position} to {len(buffer.data)}")
    for part in explanation.parts():
        found += [f"{inner.label}: {inner.note}" for inner in part.walk() if "not in the schema" in inner.note]
        found += [f"{inner.label}: not readable" for inner in part.walk() if inner.label == "Not readable"]
    return found


def judge(name: str, captures: list[Path], port: int, *, tls: bool = False) -> bool:
    """Explain captures, compare them with tshark's dissection, print a line; whether all is well."""
    schema = registry()
    octets = frames = headers = messages = 0
    wrong: list[str] = []
    for capture in captures:
        for recording in read_recordings(capture.read_bytes(), capture.name):
            explanation = explain(recording, registry=schema)
            octets += sum(len(recording.octets(direction)) for direction in Direction)
            wrong += unexplained(explanation)
            wrong += [problem for problem in explanation.problems() if RESET not in problem]
            said, seen = ours(explanation), dissect(capture, {port: "tls" if tls else "http2"})
            for direction in Direction:
                frames += len(said[direction].frames)
                headers += len(said[direction].headers)
                messages += len(said[direction].messages)
                wrong += [
                    f"{capture.name}, {direction.value}: {d}" for d in differences(said[direction], seen[direction])
                ]
    print(f"{name:<36} {len(captures):>11} {octets:>9} {frames:>7} {headers:>8} {messages:>9} {len(wrong):>12}")
    for line in wrong[:10]:
        print(f"  {line}")
    return not wrong and messages > 0


def in_the_middle(client: str, behind: str, peers: Path, work: Path) -> bool:
    folder = work / f"{client}-{behind}"
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.iterdir():
        old.unlink()
    with server(behind, peers) as port:
        middle = free_port()
        command = [sys.executable, "-m", "puregrpc", "trace", "-p", "--listen", f"127.0.0.1:{middle}"]
        command += ["--to", f"127.0.0.1:{port}", "--pcapng", str(folder / "c.pcapng"), "--detail", "frames"]
        with running(*command, until=middle, stop=signal.SIGINT):
            run_client(client, peers, middle)
    # The connection that asked whether anyone listens carried nothing.
    captures = [path for path in sorted(folder.iterdir()) if b"PRI * HTTP/2.0" in path.read_bytes()]
    return judge(f"{client} to {behind}", captures, port)


def captured(peers: Path, work: Path) -> bool:
    """What tshark captured of grpc-go on the loopback: Ethernet in pcapng, and the "any" device in classic pcap."""
    work.mkdir(parents=True, exist_ok=True)
    files = {"lo": (work / "lo.pcapng", "pcapng"), "any": (work / "any.pcap", "pcap")}
    with server("grpc-go", peers) as port:
        sniffers = [
            subprocess.Popen(
                ["tshark", "-q", "-i", device, "-w", str(path), "-F", form, "-f", f"tcp port {port}"],
                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            )
            for device, (path, form) in files.items()
        ]  # fmt: skip
        time.sleep(3)
        command = [str(peers / "grpc-go-interop-client"), "-server_host", "127.0.0.1"]
        command += ["-server_port", str(port), "-test_case", "ping_pong"]
        subprocess.run(command, check=True, capture_output=True, timeout=60)
        time.sleep(2)
        for sniffer in sniffers:
            sniffer.send_signal(signal.SIGINT)
            sniffer.wait(20)
    judged = [judge(f"captured on {device}, {form}", [path], port) for device, (path, form) in files.items()]
    return all(judged)


def over_tls(work: Path) -> bool:
    """A call of this program over TLS: tshark decrypts it with the key log in the file."""
    authority = trustme.CA()
    certificate = authority.issue_cert("localhost", "127.0.0.1")
    work.mkdir(parents=True, exist_ok=True)
    authority.cert_pem.write_to_path(str(work / "ca.pem"))
    certificate.private_key_pem.write_to_path(str(work / "key.pem"))
    (work / "cert.pem").write_bytes(b"".join(blob.bytes() for blob in certificate.cert_chain_pems))
    command = [sys.executable, "-u", "-m", "puregrpc", "serve", "--port", "0"]
    command += ["--tls-cert", str(work / "cert.pem"), "--tls-key", str(work / "key.pem")]
    with running(*command) as line:
        port = int(line.strip().rpartition(":")[2])
        call = [sys.executable, "-m", "puregrpc", "trace", f"localhost:{port}", "hello.HelloService/LotsOfReplies"]
        call += ["-d", '{"greeting": "Bert"}', "--cacert", str(work / "ca.pem"), "--pcapng", str(work / "tls.pcapng")]
        subprocess.run(call, check=True, capture_output=True, timeout=60)
    return judge("puregrpc, TLS with its key log", [work / "tls.pcapng"], port, tls=True)


def main() -> int:
    peers, work = Path(sys.argv[1]), Path(sys.argv[2])
    titles = ("conversation", "connections", "octets", "frames", "headers", "messages", "differences")
    print("{:<36} {:>11} {:>9} {:>7} {:>8} {:>9} {:>12}".format(*titles))
    results = [
        in_the_middle(client, behind, peers, work)
        for client, behind in (
            ("grpc-go", "grpc-go"),
            ("grpcio", "grpc-go"),
            ("grpc-go", "grpcio"),
            ("grpcio", "grpcio"),
        )
    ]
    results.append(captured(peers, work / "captured"))
    results.append(over_tls(work / "tls"))
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main())
