"""What takes the metrics of a run, in this process: OTLP over gRPC and HTTP, and Prometheus' remote write."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from puregrpc import BlockingServer
from puregrpc.load.outputs.exporter import contract
from puregrpc.load.outputs.opentelemetry import FILES, MESSAGES
from puregrpc.server import Context

__all__ = ["Requests", "data_points", "grpc_receiver", "http_receiver", "otlp_request", "remote_series", "unsnapped"]

OTLP = contract(FILES)
REMOTE = contract(["remote_write.proto"])


class Requests(list[tuple[dict[str, str], bytes]]):
    """Headers and bodies that came; what the next ones are answered is set from outside."""

    status = 200
    answer = b""


@contextmanager
def http_receiver() -> Iterator[tuple[str, Requests]]:
    """A server that takes any POST; gives ``host:port`` and what came."""
    requests = Requests()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            requests.append(({**self.headers, "path": self.path}, body))
            self.send_response(requests.status)
            self.send_header("Content-Length", str(len(requests.answer)))
            self.end_headers()
            self.wfile.write(requests.answer)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), name="receiver")
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_port}", requests
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def grpc_receiver() -> Iterator[tuple[str, Requests]]:
    """A server of OTLP's MetricsService that takes 4 MiB; gives ``host:port`` and what came."""
    registry, codec = OTLP
    requests = Requests()
    encode = codec.encoder(registry.message(f"{MESSAGES}Request"))

    def export(request: dict[str, Any], context: Context) -> dict[str, Any]:
        requests.append(({str(name): str(value) for name, value in context.metadata}, encode(request)))
        if requests.status != 200:
            return {"partialSuccess": {"rejectedDataPoints": 2, "errorMessage": "too many"}}
        return {}

    server = BlockingServer("127.0.0.1:0")
    server.add_service(
        registry.service(f"{MESSAGES.removesuffix('ExportMetricsService')}MetricsService"), {"Export": export}
    )
    server.start()
    try:
        yield server.addresses[0], requests
    finally:
        server.stop(0)
        server.wait_for_termination(20)


def otlp_request(body: bytes) -> dict[str, Any]:
    """A request as a dict."""
    registry, codec = OTLP
    found: dict[str, Any] = codec.decode(registry.message(f"{MESSAGES}Request"), body)
    return found


def data_points(body: bytes) -> dict[str, list[dict[str, Any]]]:
    """Metric -> its data points, with their attributes as a dict."""
    (resource,) = otlp_request(body)["resourceMetrics"]
    (scope,) = resource["scopeMetrics"]
    found = {}
    for metric in scope["metrics"]:
        (data,) = (value for value in metric.values() if isinstance(value, dict))
        found[metric["name"]] = [
            {**point, "attributes": {each["key"]: each["value"]["stringValue"] for each in point["attributes"]}}
            for point in data["dataPoints"]
        ]
    return found


def remote_series(body: bytes) -> dict[tuple[tuple[str, str], ...], float]:
    """Labels, in their order -> value, of a remote write."""
    registry, codec = REMOTE
    request = codec.decode(registry.message("prometheus.WriteRequest"), unsnapped(body))
    return {
        tuple((label["name"], label["value"]) for label in series["labels"]): series["samples"][0]["value"]
        for series in request["timeseries"]
    }


def unsnapped(block: bytes) -> bytes:
    """What a block of snappy literals holds."""
    size = shift = at = 0
    while True:
        size |= (block[at] & 0x7F) << shift
        shift += 7
        at += 1
        if block[at - 1] < 0x80:
            break
    found = bytearray()
    while at < len(block):
        assert block[at] & 3 == 0, "only literals are expected"
        length = block[at] >> 2
        at += 1
        if length >= 60:
            taken = length - 59
            length = int.from_bytes(block[at : at + taken], "little")
            at += taken
        found += block[at : at + length + 1]
        at += length + 1
    assert len(found) == size
    return bytes(found)
