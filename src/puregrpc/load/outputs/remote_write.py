"""Prometheus' remote write, version 1.0: protobuf in a snappy block, by HTTP.

https://prometheus.io/docs/specs/prw/remote_write_spec/
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from puregrpc.load.outputs.exporter import INTERVAL, Exporter, Taken, contract, in_parts
from puregrpc.load.outputs.http import Endpoint
from puregrpc.load.outputs.prometheus import Family, Sample, families, label_name
from puregrpc.load.outputs.snappy import snappy_block

__all__ = ["PrometheusRemoteWrite"]

LARGEST = 1 << 20
"""Bytes of one request: receivers take some megabytes at the least."""

HEADERS = {
    "Content-Type": "application/x-protobuf",
    "Content-Encoding": "snappy",
    "X-Prometheus-Remote-Write-Version": "0.1.0",
}


class Point(NamedTuple):
    """A sample, and the family that it belongs to."""

    family: Family
    sample: Sample


class PrometheusRemoteWrite(Exporter):
    """Writes the metrics of a run to Prometheus, Mimir, VictoriaMetrics or whatever else takes its remote write.

    ``url`` is such as ``http://localhost:9090/api/v1/write``, with ``user:password@`` before the host for Basic
    authentication; ``headers`` go with each request. ``interval`` is in seconds, ``timeout`` that of a request. For
    all machines that write at the same time to differ, give each a tag of its own.

    Raises InvalidArgument if that is no URL.
    """

    def __init__(
        self, url: str, *, headers: Mapping[str, str] | None = None, interval: float = INTERVAL, timeout: float = 10.0
    ) -> None:
        self._endpoint = Endpoint(url, {**HEADERS, **(headers or {})}, timeout)
        super().__init__(self._endpoint.shown, interval)

    @classmethod
    def from_environment(cls, url: str = "") -> PrometheusRemoteWrite:
        """As k6's variables say: ``K6_PROMETHEUS_RW_SERVER_URL``, ``_USERNAME``, ``_PASSWORD``, ``_BEARER_TOKEN``."""
        given = {name: os.environ.get(f"K6_PROMETHEUS_RW_{name}", "") for name in VARIABLES}
        headers = {}
        if given["BEARER_TOKEN"]:
            headers["Authorization"] = f"Bearer {given['BEARER_TOKEN']}"
        made = cls(url or given["SERVER_URL"] or "http://localhost:9090/api/v1/write", headers=headers)
        if given["USERNAME"]:
            made._endpoint.authenticate(given["USERNAME"], given["PASSWORD"])
        return made

    def open(self) -> None:
        registry, codec = contract(["remote_write.proto"])
        self._encode = codec.encoder(registry.message("prometheus.WriteRequest"))

    def close(self) -> None:
        pass

    def export(self, taken: list[Taken], moment: float) -> None:
        points = [Point(family, sample) for family in families(taken) for sample in family.samples]
        timestamp = int(moment * 1000)

        def encoded(points: Sequence[Point]) -> bytes:
            return self._encode(request(points, timestamp))

        for part in in_parts(points, encoded, LARGEST):
            self._endpoint.post(snappy_block(part))


VARIABLES = ("SERVER_URL", "USERNAME", "PASSWORD", "BEARER_TOKEN")


def request(points: Sequence[Point], timestamp: int) -> dict[str, Any]:
    """A WriteRequest: a series for each sample, with sorted labels, and what is to be known of the families."""
    found = {point.family.name: point.family for point in points}
    return {
        "timeseries": [
            {
                "labels": labels(f"{point.family.name}{point.sample.suffix}", point.sample.labels),
                "samples": [{"value": point.sample.value, "timestamp": timestamp}],
            }
            for point in points
        ],
        "metadata": [
            {"type": family.kind.upper(), "metricFamilyName": family.name, "help": family.help}
            for family in found.values()
        ],
    }


def labels(name: str, tags: Mapping[str, str]) -> list[dict[str, str]]:
    """The labels of a series, in the order of their names; one without a value is none."""
    every = {"__name__": name, **{label_name(key): value for key, value in tags.items() if value}}
    return [{"name": key, "value": value} for key, value in sorted(every.items())]
