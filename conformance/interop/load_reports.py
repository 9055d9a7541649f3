"""Load reports (gRFC A51): xds.data.orca.v3.OrcaLoadReport on the wire, and where it travels."""

from __future__ import annotations

import struct
from typing import Any

from conformance.interop.messages import message_class

__all__ = ["EVERY_SECOND", "OUT_OF_BAND", "TRAILER", "load_report", "test_report"]

TRAILER = "endpoint-load-metrics-bin"
OUT_OF_BAND = "/xds.service.orca.v3.OpenRcaService/StreamCoreMetrics"
EVERY_SECOND = b"\x0a\x02\x08\x01"
"""An OrcaLoadReportRequest with a report_interval of one second."""


def test_report(scale: float = 1.0) -> Any:
    """The grpc.testing.TestOrcaReport of the cases, or one with all figures scaled."""
    return message_class("TestOrcaReport")(
        cpu_utilization=0.8210 * scale,
        memory_utilization=0.5847 * scale,
        request_cost={"cost": 3456.32 * scale},
        utilization={"util": 0.30499 * scale},
    )


def load_report(report: Any) -> bytes:
    """A TestOrcaReport as a serialized OrcaLoadReport."""

    def entry(number: int, name: str, value: float) -> bytes:
        body = b"\x0a" + bytes([len(name)]) + name.encode() + b"\x11" + struct.pack("<d", value)
        return bytes([number << 3 | 2, len(body)]) + body

    octets = b"\x09" + struct.pack("<d", report.cpu_utilization)
    octets += b"\x11" + struct.pack("<d", report.memory_utilization)
    octets += b"".join(entry(4, name, value) for name, value in report.request_cost.items())
    return octets + b"".join(entry(5, name, value) for name, value in report.utilization.items())
