"""The end-of-run text, laid out as k6's: thresholds, checks, and the metrics by what they are about."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from puregrpc.metrics.registry import Contains, Metrics
from puregrpc.metrics.sinks import CounterSink, GaugeSink, RateSink, Sink, TrendSink
from puregrpc.metrics.thresholds import ThresholdResult, parse_selector
from puregrpc.metrics.units import format_duration, format_number, format_share, format_size

__all__ = ["TREND_STATS", "summary"]

TREND_STATS = ("avg", "min", "med", "max", "p(90)", "p(95)")

EXECUTION = ("group_duration", "iteration_duration", "iterations", "dropped_iterations", "vus", "vus_max")
NETWORK = ("data_received", "data_sent")
SECTIONS = ("CUSTOM", "EXECUTION", "NETWORK", "GRPC")

YES, NO = "✓", "✗"


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a section: the cells of a trend are aligned with those of the other trends."""

    name: str
    cells: tuple[str, ...]
    is_trend: bool = False


def summary(metrics: Metrics, *, trend_stats: Sequence[str] | None = None, time_unit: str | None = None) -> str:
    """See `Metrics.summary`."""
    stats = tuple(trend_stats or TREND_STATS)
    parts: list[str] = []
    results = metrics.judge()
    if results:
        parts += ["  █ THRESHOLDS", "", *_thresholds(metrics, results, time_unit), ""]
    parts += ["  █ TOTAL RESULTS", ""]
    parts += _checks(metrics)
    sections: dict[str, list[Row]] = {}
    names = sorted({metric.name for metric in metrics})
    for name in names:
        if name == "checks":
            continue
        sink = metrics.sinks(name)
        contains = metrics[name].contains
        selected = [selector for selector in metrics.thresholds if parse_selector(selector)[0] == name]
        if sink is None or not (sink.count or selected):
            continue
        rows = sections.setdefault(_section(name), [])
        rows.append(_row(name, sink, contains, metrics.seconds, stats, time_unit))
        for selector in sorted(selected):
            tags = parse_selector(selector)[1]
            part = metrics.sinks(name, tags)
            if tags and part is not None:
                label = "  { " + ", ".join(f"{key}:{value}" for key, value in tags.items()) + " }"
                rows.append(_row(label, part, contains, metrics.seconds, stats, time_unit))
    everything = [row for rows in sections.values() for row in rows]
    width = max((len(row.name) for row in everything), default=0) + 3
    columns = _columns(row.cells for row in everything if row.is_trend)
    plain = _columns(row.cells for row in everything if not row.is_trend)
    for section in SECTIONS:
        if section in sections:
            parts.append(f"    {section}")
            for row in sections[section]:
                cells = zip(row.cells, columns if row.is_trend else plain, strict=False)
                text = " ".join(cell.ljust(size) for cell, size in cells)
                parts.append(f"    {row.name.ljust(width, '.')}: {text}".rstrip())
            parts.append("")
    return "\n".join(parts)


def _section(name: str) -> str:
    if name.startswith("grpc_"):
        return "GRPC"
    if name in NETWORK:
        return "NETWORK"
    return "EXECUTION" if name in EXECUTION else "CUSTOM"


def _columns(rows: Iterable[tuple[str, ...]]) -> list[int]:
    widths: list[int] = []
    for cells in rows:
        widths += [0] * (len(cells) - len(widths))
        for index, cell in enumerate(cells):
            widths[index] = max(widths[index], len(cell))
    return widths


def _row(name: str, sink: Sink, contains: Contains, seconds: float, stats: Sequence[str], time_unit: str | None) -> Row:
    def shown(value: float) -> str:
        return _value(value, contains, time_unit)

    if isinstance(sink, TrendSink):
        cells = (f"{stat}={_trend_value(sink, stat, contains, seconds, time_unit)}" for stat in stats)
        return Row(name, tuple(cells), is_trend=True)
    if isinstance(sink, CounterSink):
        rate = sink.value("rate", seconds)
        rate_text = f"{format_size(rate)}/s" if contains == "data" else f"{shown(rate)}/s"
        return Row(name, (shown(sink.total), rate_text))
    if isinstance(sink, GaugeSink):
        return Row(name, (shown(sink.last), f"min={shown(sink.minimum)}", f"max={shown(sink.maximum)}"))
    if isinstance(sink, RateSink):
        return Row(name, (format_share(sink.value("rate", seconds)), f"{sink.passes} out of {sink.count}"))
    raise TypeError(f"{type(sink).__name__} has no line in a summary")


def _trend_value(sink: Sink, stat: str, contains: Contains, seconds: float, time_unit: str | None) -> str:
    value = sink.value(stat, seconds)
    return str(int(value)) if stat == "count" else _value(value, contains, time_unit)


def _value(value: float, contains: Contains, time_unit: str | None) -> str:
    if contains == "time":
        return format_duration(value, time_unit)
    if contains == "data":
        return format_size(value)
    return format_number(value)


def _checks(metrics: Metrics) -> list[str]:
    whole = metrics.sinks("checks")
    if not isinstance(whole, RateSink) or not whole.count:
        return []
    total, passes = whole.count, whole.passes
    fails = total - passes
    rate = total / metrics.seconds if metrics.seconds > 0 else 0.0
    lines = [
        f"    checks_total.......: {str(total).ljust(7)} {format_number(rate)}/s",
        f"    checks_succeeded...: {format_share(passes / total).ljust(7)} {passes} out of {total}",
        f"    checks_failed......: {format_share(fails / total).ljust(7)} {fails} out of {total}",
        "",
    ]
    seen: dict[tuple[str, str], None] = {}
    for metric in metrics:
        if metric.name == "checks":
            for series in list(metric.series.values()):
                seen.setdefault((series.tags.get("group", ""), series.tags.get("check", "")))
    indents: dict[str, str] = {"": "    "}
    for group, check in sorted(seen, key=lambda key: key[0]):
        if group not in indents:
            for depth, name in enumerate(group.split("::")[1:], 1):
                path = "::" + "::".join(group.split("::")[1 : depth + 1])
                if path not in indents:
                    lines += ["", f"{'    ' + '  ' * (depth - 1)}█ {name}", ""]
                    indents[path] = "    " + "  " * depth
        sink = metrics.sinks("checks", {"group": group, "check": check})
        if not isinstance(sink, RateSink):
            continue
        indent, failed = indents[group], sink.count - sink.passes
        lines.append(f"{indent}{NO if failed else YES} {check}")
        if failed:
            lines.append(f"{indent}  ↳  {int(100 * sink.passes / sink.count)}% — {YES} {sink.passes} / {NO} {failed}")
    return [*lines, ""]


def _thresholds(metrics: Metrics, results: list[ThresholdResult], time_unit: str | None) -> list[str]:
    lines: list[str] = []
    by_metric: dict[str, dict[str, list[ThresholdResult]]] = {}
    for result in results:
        name, _ = parse_selector(result.metric)
        by_metric.setdefault(name, {}).setdefault(result.metric, []).append(result)
    for name in sorted(by_metric):
        lines.append(f"    {name}")
        for selector in sorted(by_metric[name]):
            indent = "    "
            if selector != name:
                indent = "      "
                lines += ["", f"{indent}{selector.removeprefix(name)}"]
            for result in by_metric[name][selector]:
                method = result.threshold.method
                if method == "rate" and metrics[name].kind == "rate":
                    actual = format_share(result.actual)
                elif method in ("count", "rate"):
                    actual = format_number(result.actual)
                else:
                    actual = _value(result.actual, metrics[name].contains, time_unit)
                mark = YES if result.ok else NO
                lines.append(f"{indent}{mark} '{result.threshold.source}' {method}={actual}")
        lines.append("")
    return lines
