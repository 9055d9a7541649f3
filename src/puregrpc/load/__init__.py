"""Load runs: a script, its virtual users and the schedule they keep to, with k6's options, metrics and summary.

``run("script.py")`` is what ``puregrpc run script.py`` does. A script finds out about itself with `vu`, `scenario` and
`test`, and ends the run with `abort`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from puregrpc._on_demand import on_demand

if TYPE_CHECKING:
    from puregrpc.load.context import ScenarioInfo as ScenarioInfo
    from puregrpc.load.context import TestInfo as TestInfo
    from puregrpc.load.context import UserInfo as UserInfo
    from puregrpc.load.context import abort as abort
    from puregrpc.load.context import scenario as scenario
    from puregrpc.load.context import test as test
    from puregrpc.load.context import vu as vu
    from puregrpc.load.outputs.exporter import Exporter as Exporter
    from puregrpc.load.outputs.opentelemetry import OpenTelemetryExporter as OpenTelemetryExporter
    from puregrpc.load.outputs.remote_write import PrometheusRemoteWrite as PrometheusRemoteWrite
    from puregrpc.load.problems import LoadError as LoadError
    from puregrpc.load.running import Observer as Observer
    from puregrpc.load.running import Result as Result
    from puregrpc.load.running import Status as Status
    from puregrpc.load.running import run as run

_MODULES = {
    "Exporter": "outputs.exporter",
    "LoadError": "problems",
    "Observer": "running",
    "OpenTelemetryExporter": "outputs.opentelemetry",
    "PrometheusRemoteWrite": "outputs.remote_write",
    "Result": "running",
    "ScenarioInfo": "context",
    "Status": "running",
    "TestInfo": "context",
    "UserInfo": "context",
    "abort": "context",
    "run": "running",
    "scenario": "context",
    "test": "context",
    "vu": "context",
}

__all__ = [*_MODULES]

__getattr__, __dir__ = on_demand(__name__, _MODULES)
