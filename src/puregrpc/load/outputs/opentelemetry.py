"""OpenTelemetry's protocol (OTLP), over gRPC by this library's own channel, or over HTTP.

https://opentelemetry.io/docs/specs/otlp/, and for the variables
https://opentelemetry.io/docs/specs/otel/protocol/exporter/
"""

from __future__ import annotations

import math
import os
import secrets
import time
from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple
from urllib.parse import unquote, urlsplit

from puregrpc._version import __version__
from puregrpc.channel import BlockingChannel
from puregrpc.errors import Error, InvalidArgument
from puregrpc.load.outputs.exporter import INTERVAL, Exporter, Taken, contract, in_parts
from puregrpc.load.outputs.http import Endpoint
from puregrpc.metrics.sinks import CounterSink, GaugeSink, RateSink, TrendSink
from puregrpc.transport import TlsOptions

__all__ = ["OpenTelemetryExporter"]

LARGEST = 3 << 20
"""Bytes of one request: receivers of gRPC take 4 MiB, where nothing else is said."""

METHOD = "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export"

HTTP_PATH = "/v1/metrics"

FILES = (
    "opentelemetry/proto/collector/metrics/v1/metrics_service.proto",
    "opentelemetry/proto/metrics/v1/metrics.proto",
    "opentelemetry/proto/resource/v1/resource.proto",
    "opentelemetry/proto/common/v1/common.proto",
)

MESSAGES = "opentelemetry.proto.collector.metrics.v1.ExportMetricsService"

UNITS = {"time": "ms", "data": "By", "default": "1"}

BOUNDS = tuple(step * 10.0**power for power in range(-1, 5) for step in (1, 2, 5))
"""Where the buckets of a histogram end: 0.1, 0.2, 0.5, 1 … 50,000; of times these are milliseconds."""

MOST_DIGITS = 15
"""Of a number in a variable of the environment."""

MOST_BUCKETS = 160
"""Of an exponential histogram, as SDKs have it."""

FINEST_SCALE = 6
"""Of an exponential histogram: buckets as fine as the bins of a trend."""

CUMULATIVE = "AGGREGATION_TEMPORALITY_CUMULATIVE"


class OpenTelemetryExporter(Exporter):
    """Sends the metrics of a run to a collector of OpenTelemetry, or whatever else takes OTLP.

    ``endpoint`` is ``host:port`` or ``http://host:port`` for gRPC, ``https://host:port`` for gRPC over TLS; a URL
    that ends in ``/v1/metrics`` stands for OTLP over HTTP. ``headers`` go with each request. Times are seconds:
    ``interval`` from one export to the next, ``timeout`` of a request. ``certificate`` is the path of the roots that
    a server's certificate is checked with, in PEM; the system's are taken if it is None. ``is_exponential``: trends
    are exponential histograms, not those with given bounds. ``resource`` are attributes of what sends.

    Counters are sums, gauges gauges, trends histograms, and a rate is a sum with the attribute ``condition``, which is
    ``zero`` or ``nonzero``. No request has more than 3 MiB. Raises InvalidArgument for an endpoint that is none.
    """

    def __init__(
        self,
        endpoint: str = "localhost:4317",
        *,
        headers: Mapping[str, str] | None = None,
        interval: float = INTERVAL,
        timeout: float = 10.0,
        compression: str | None = None,
        certificate: str | None = None,
        is_exponential: bool = False,
        resource: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(endpoint, interval)
        given = {"service.name": "puregrpc", "service.version": __version__, **(resource or {})}
        self._resource = {"service.instance.id": secrets.token_hex(8), **given}
        self._is_exponential = is_exponential
        self._began = 0
        self._send: Callable[[bytes], bytes]
        self._channel: BlockingChannel | None = None
        try:
            parts = urlsplit(endpoint if "://" in endpoint else f"http://{endpoint}")
            port = parts.port or 4317
        except ValueError as error:
            raise InvalidArgument(f"{endpoint!r} is no endpoint: {error}") from None
        if parts.path.endswith(HTTP_PATH):
            self.where = self._over_http(endpoint, dict(headers or {}), timeout)
        elif parts.scheme not in ("http", "https") or not parts.hostname or parts.path not in ("", "/"):
            raise InvalidArgument(
                f"{endpoint!r}: host:port is expected, or https://host:port, or http://host:port{HTTP_PATH}"
            )
        else:
            host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
            tls = TlsOptions(root_certificates=certificate) if certificate else parts.scheme == "https"
            options = {
                "tls": tls,
                "compression": compression,
                "metadata": {name.lower(): value for name, value in (headers or {}).items()},
            }
            self._over_grpc(f"{host}:{port}", options, timeout)

    @classmethod
    def from_environment(cls, endpoint: str = "") -> OpenTelemetryExporter:
        """As OpenTelemetry's variables say: ``OTEL_EXPORTER_OTLP_ENDPOINT``, ``_HEADERS``, ``_PROTOCOL`` and others."""

        def given(name: str, default: str = "") -> str:
            general = os.environ.get(f"OTEL_EXPORTER_OTLP_{name}", default)
            return os.environ.get(f"OTEL_EXPORTER_OTLP_METRICS_{name}", general)

        address = endpoint or given("ENDPOINT")
        if given("PROTOCOL", "grpc") != "grpc":
            address = address or "http://localhost:4318"
            if not urlsplit(address).path.endswith(HTTP_PATH):
                address = address.rstrip("/") + HTTP_PATH
        resource = pairs(os.environ.get("OTEL_RESOURCE_ATTRIBUTES", ""), "OTEL_RESOURCE_ATTRIBUTES")
        if os.environ.get("OTEL_SERVICE_NAME"):
            resource["service.name"] = os.environ["OTEL_SERVICE_NAME"]
        aggregation = os.environ.get("OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION", "")
        compression = given("COMPRESSION", "none")
        return cls(
            address or "localhost:4317",
            headers=pairs(given("HEADERS"), "OTEL_EXPORTER_OTLP_HEADERS"),
            interval=milliseconds("OTEL_METRIC_EXPORT_INTERVAL", INTERVAL),
            timeout=milliseconds("OTEL_EXPORTER_OTLP_TIMEOUT", 10.0),
            compression=None if compression == "none" else compression,
            certificate=given("CERTIFICATE") or None,
            is_exponential=aggregation == "base2_exponential_bucket_histogram",
            resource=resource,
        )

    # -- sending

    def _over_http(self, url: str, headers: dict[str, str], timeout: float) -> str:
        sent = Endpoint(url, {"Content-Type": "application/x-protobuf", **headers}, timeout)
        self._send = sent.post
        return sent.shown

    def _over_grpc(self, target: str, options: dict[str, Any], timeout: float) -> None:
        def send(body: bytes) -> bytes:
            if self._channel is None:
                self._channel = BlockingChannel(target, busy_poll=0, connect_timeout=timeout, **options)
            answer: bytes = self._channel.unary_unary(METHOD)(body, timeout=timeout)
            return answer

        self._send = send

    def open(self) -> None:
        self._began = time.time_ns()
        registry, codec = contract(FILES)
        self._encode = codec.encoder(registry.message(f"{MESSAGES}Request"))
        self._decode = codec.decoder(registry.message(f"{MESSAGES}Response"))

    def close(self) -> None:
        channel, self._channel = self._channel, None
        if channel is not None:
            channel.close()

    def export(self, taken: list[Taken], moment: float) -> None:
        now = int(moment * 1e9)
        points = [Point(each, point) for each in taken for point in self._points(each, now)]
        rejected, why = 0, ""
        for part in in_parts(points, lambda some: self._encode(self._request(some)), LARGEST):
            answer = self._decode(self._send(part)).get("partialSuccess") or {}
            rejected += int(answer.get("rejectedDataPoints", 0))
            why = answer.get("errorMessage", "") or why
        if rejected:
            raise Error(f"{rejected} of {len(points)} data points were rejected: {why}")

    # -- what is sent

    def _points(self, taken: Taken, now: int) -> Iterable[dict[str, Any]]:
        sink = taken.sink
        common = {"startTimeUnixNano": self._began, "timeUnixNano": now}
        own = {**common, "attributes": attributes(taken.tags)}
        if isinstance(sink, CounterSink):
            return [{**own, "asDouble": sink.total}]
        if isinstance(sink, GaugeSink):
            return [{**own, "asDouble": sink.last}]
        if isinstance(sink, RateSink):
            conditions = {"nonzero": sink.passes, "zero": sink.count - sink.passes}
            return [
                {**common, "attributes": attributes({**taken.tags, "condition": name}), "asInt": count}
                for name, count in conditions.items()
            ]
        assert isinstance(sink, TrendSink)
        made = {**own, "count": sink.count, "sum": sink.total, "min": sink.minimum, "max": sink.maximum}
        return [{**made, **(exponential(sink) if self._is_exponential else explicit(sink))}]

    def _request(self, points: Sequence[Point]) -> dict[str, Any]:
        metrics: dict[str, list[dict[str, Any]]] = {}
        kinds = {}
        for taken, point in points:
            metrics.setdefault(taken.metric.name, []).append(point)
            kinds[taken.metric.name] = taken.metric
        made = [
            {"name": name, "unit": UNITS[kinds[name].contains], **self._data(kinds[name].kind, data)}
            for name, data in metrics.items()
        ]
        scope = {"name": "puregrpc", "version": __version__}
        return {
            "resourceMetrics": [
                {
                    "resource": {"attributes": attributes(self._resource)},
                    "scopeMetrics": [{"scope": scope, "metrics": made}],
                }
            ]
        }

    def _data(self, kind: str, points: list[dict[str, Any]]) -> dict[str, Any]:
        if kind == "gauge":
            return {"gauge": {"dataPoints": points}}
        name = {"trend": "exponentialHistogram" if self._is_exponential else "histogram"}.get(kind, "sum")
        data: dict[str, Any] = {"dataPoints": points, "aggregationTemporality": CUMULATIVE}
        if name == "sum":
            data["isMonotonic"] = True
        return {name: data}


class Point(NamedTuple):
    """A data point, and what it is of."""

    taken: Taken
    data: dict[str, Any]


def attributes(tags: Mapping[str, str]) -> list[dict[str, Any]]:
    """Tags as OpenTelemetry has them."""
    return [{"key": key, "value": {"stringValue": value}} for key, value in tags.items()]


def explicit(sink: TrendSink) -> dict[str, Any]:
    """How many samples are in each bucket; a bucket holds its upper bound."""
    counts = [0] * (len(BOUNDS) + 1)
    for value, count in sink.distribution():
        counts[bisect_left(BOUNDS, value)] += count
    return {"bucketCounts": counts, "explicitBounds": BOUNDS}


def exponential(sink: TrendSink) -> dict[str, Any]:
    """The same in buckets that end at the powers of 2 ** (1 / 2 ** scale)."""
    logs: dict[bool, list[tuple[float, int]]] = {True: [], False: []}
    zeros = 0
    for value, count in sink.distribution():
        if value:
            logs[value > 0].append((math.log2(abs(value)), count))
        else:
            zeros += count
    every = [each for side in logs.values() for each, _ in side]
    spread = max(every) - min(every) if every else 0.0
    scale = FINEST_SCALE
    while spread * 2.0**scale > MOST_BUCKETS - 2:
        scale -= 1
    made: dict[str, Any] = {"scale": scale, "zeroCount": zeros}
    for is_positive, side in logs.items():
        places: dict[int, int] = {}
        for logarithm, count in side:
            place = math.ceil(logarithm * 2.0**scale) - 1
            places[place] = places.get(place, 0) + count
        if places:
            first, last = min(places), max(places)
            made["positive" if is_positive else "negative"] = {
                "offset": first,
                "bucketCounts": [places.get(place, 0) for place in range(first, last + 1)],
            }
    return made


def pairs(text: str, variable: str) -> dict[str, str]:
    """``a=1,b=2``, percent-encoded, as a variable has it. Raises InvalidArgument."""
    found = {}
    for part in filter(None, (each.strip() for each in text.split(","))):
        name, equals, value = part.partition("=")
        if not equals or not name.strip():
            raise InvalidArgument(f"{variable}: NAME=VALUE,NAME=VALUE is expected, not {part!r}")
        found[unquote(name.strip())] = unquote(value.strip())
    return found


def milliseconds(variable: str, default: float) -> float:
    """A variable's milliseconds as seconds. Raises InvalidArgument."""
    text = os.environ.get(variable, "")
    if not text:
        return default
    if not text.isdecimal() or len(text) > MOST_DIGITS or not int(text):
        raise InvalidArgument(f"{variable}: milliseconds are expected, not {text!r}")
    return int(text) / 1000
