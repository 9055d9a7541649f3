"""The end-of-run text, laid out as k6's: thresholds, checks, and the metrics by what they are about."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from puregrpc.metrics.registry import Contains, Metrics, Tags
from puregrpc.metrics.sinks import CounterSink, GaugeSink, RateSink, Sink, TrendSink
from puregrpc.metrics.thresholds import ThresholdResult, braced, parse_selector
from puregrpc.metrics.units import format_duration, format_number, format_share, format_size

__all__ = ["TREND_STATS", "Mode", "summary"]

TREND_STATS = ("avg", "min", "med", "max", "p(90)", "p(95)")

EXECUTION = (
    "dropped_iterations", "generator_lag", "group_duration", "iteration_duration", "iteration_errors", "iterations",
    "vus", "vus_max",
)  # fmt: skip
NETWORK = ("data_received", "data_sent")
SECTIONS = ("CUSTOM", "EXECUTION", "NETWORK", "GRPC")

YES, NO = "✓", "✗"

GROUP_SEPARATOR = "::"

STAGES = ("::setup", "::teardown", "::init")
"""Groups of what is no iteration."""

Mode = Literal["compact", "full", "legacy"]
"""k6's summaries: in the first two checks stand whatever group they are in, and the second tells of each scenario and
group too."""


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a section: the cells of a trend are aligned with those of the other trends."""

    name: str
    cells: tuple[str, ...]
    is_trend: bool = False


@dataclass(frozen=True, slots=True)
class Style:
    """How values are shown."""

    stats: tuple[str, ...]
    time_unit: str | None


def summary(
    metrics: Metrics,
    *,
    trend_stats: Sequence[str] | None = None,
    time_unit: str | None = None,
    mode: Mode | None = None,
) -> str:
    """See `Metrics.summary`."""
    style = Style(tuple(TREND_STATS if trend_stats is None else trend_stats), time_unit)
    results = metrics.judge()
    if mode == "legacy":
        return "\n".join([*_grouped_checks(metrics, "     "), *_legacy_rows(metrics, results, style), ""])
    parts: list[str] = []
    if results:
        parts += ["  █ THRESHOLDS", "", *_thresholds(metrics, results, time_unit), ""]
    parts += ["  █ TOTAL RESULTS", ""]
    if mode is None:
        parts += [*_check_totals(metrics, {}, "    "), *_grouped_checks(metrics, "    ")]
    else:
        parts += [*_check_totals(metrics, {}, "    "), *_flat_checks(metrics, {}, "    ")]
    parts += _sections(metrics, {}, style, "    ", with_groups=mode is None, with_submetrics=True)
    if mode == "full":
        parts += _details(metrics, style)
    return "\n".join(parts)


def _sections(
    metrics: Metrics, tags: Tags, style: Style, indent: str, *, with_groups: bool, with_submetrics: bool
) -> list[str]:
    """The metrics of what has some tags, section by section."""
    sections: dict[str, list[Row]] = {}
    for name in sorted({metric.name for metric in metrics}):
        if name == "checks" or (name == "group_duration" and not with_groups):
            continue
        sink = metrics.sinks(name, tags)
        contains = metrics[name].contains
        selected = []
        if with_submetrics:
            selected = [selector for selector in metrics.thresholds if parse_selector(selector)[0] == name]
        if sink is None or not (sink.count or selected):
            continue
        rows = sections.setdefault(_section(name), [])
        rows.append(_row(name, sink, contains, metrics.seconds, style.stats, style.time_unit))
        for selector in sorted(selected):
            chosen = parse_selector(selector)[1]
            part = metrics.sinks(name, chosen)
            if chosen and part is not None:
                label = f"  {{ {braced(selector)} }}"
                rows.append(_row(label, part, contains, metrics.seconds, style.stats, style.time_unit))
    everything = [row for rows in sections.values() for row in rows]
    width = max((len(row.name) for row in everything), default=0) + 3
    parts: list[str] = []
    for section in SECTIONS:
        if section in sections:
            parts += [f"{indent}{section}", *_aligned(sections[section], everything, width, indent), ""]
    return parts


def _aligned(rows: list[Row], everything: list[Row], width: int, indent: str) -> list[str]:
    columns = _columns(row.cells for row in everything if row.is_trend)
    plain = _columns(row.cells for row in everything if not row.is_trend)
    lines = []
    for row in rows:
        cells = zip(row.cells, columns if row.is_trend else plain, strict=False)
        text = " ".join(cell.ljust(size) for cell, size in cells)
        lines.append(f"{indent}{row.name.ljust(width, '.')}: {text}".rstrip())
    return lines


def _details(metrics: Metrics, style: Style) -> list[str]:
    """What k6's full summary has beside the totals: each scenario, if they have names, and each group."""
    every = [series.tags for metric in metrics for series in list(metric.series.values())]
    scenarios = list(dict.fromkeys(tags["scenario"] for tags in every if "scenario" in tags))
    groups = sorted({group for tags in every if (group := tags.get("group", "")) and not group.startswith(STAGES)})
    if scenarios in ([], ["default"]):
        return _groups(metrics, {}, groups, style, "    ", is_top=True)
    parts: list[str] = []
    for name in scenarios:
        where = {"scenario": name}
        own = [group for group in groups if any(where.items() <= t.items() and t.get("group") == group for t in every)]
        parts += ["", f"  █ SCENARIO: {name}", "", *_part(metrics, where, style, "    ")]
        parts += _groups(metrics, where, own, style, "    ", is_top=False)
    return parts


def _groups(metrics: Metrics, where: Tags, groups: list[str], style: Style, indent: str, *, is_top: bool) -> list[str]:
    parts: list[str] = []
    for group in groups:
        *_, name = group.split(GROUP_SEPARATOR)
        depth = max(group.count(GROUP_SEPARATOR) - 1, 0)  # a tag of the user's may be no path
        inner = indent + "  " * (depth + (not is_top))
        if is_top and not depth:
            parts += ["", f"  █ GROUP: {name}", ""]
        else:
            parts += [f"{inner[:-2]}↳ GROUP: {name}", ""]
        parts += _part(metrics, {**where, "group": group}, style, inner)
    return parts


def _part(metrics: Metrics, where: Tags, style: Style, indent: str) -> list[str]:
    return [
        *_check_totals(metrics, where, indent),
        *_flat_checks(metrics, where, indent),
        *_sections(metrics, where, style, indent, with_groups=False, with_submetrics=False),
    ]


def _legacy_rows(metrics: Metrics, results: list[ThresholdResult], style: Style) -> list[str]:
    """All metrics in the order of their names, with a mark where a threshold is, as k6's legacy summary has them."""
    verdicts: dict[str, bool] = {}
    for result in results:
        verdicts[result.metric] = verdicts.get(result.metric, True) and result.ok
    rows: list[tuple[str, Row]] = []
    for name in sorted({metric.name for metric in metrics}):
        sink = metrics.sinks(name)
        selected = [selector for selector in metrics.thresholds if parse_selector(selector)[0] == name]
        if sink is None or not (sink.count or selected):
            continue
        contains = metrics[name].contains
        mark = f"   {_mark(verdicts[name])} " if name in verdicts else "     "
        rows.append((mark, _row(name, sink, contains, metrics.seconds, style.stats, style.time_unit)))
        for selector in sorted(selected):
            tags = parse_selector(selector)[1]
            part = metrics.sinks(name, tags)
            if tags and part is not None:
                row = _row(f"{{ {braced(selector)} }}", part, contains, metrics.seconds, style.stats, style.time_unit)
                rows.append((f"     {_mark(verdicts[selector])} ", row))
    everything = [row for _, row in rows]
    ends = max((len(mark) + len(row.name) for mark, row in rows), default=0) + 3
    return [mark + line for mark, row in rows for line in _aligned([row], everything, ends - len(mark), "")]


def _mark(ok: bool) -> str:
    return YES if ok else NO


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
        least, most = (shown(sink.value(each, seconds)) for each in ("min", "max"))
        return Row(name, (shown(sink.last), f"min={least}", f"max={most}"))
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


def _check_totals(metrics: Metrics, where: Tags, indent: str) -> list[str]:
    whole = metrics.sinks("checks", where)
    if not isinstance(whole, RateSink) or not whole.count:
        return []
    total, passes = whole.count, whole.passes
    fails = total - passes
    rate = total / metrics.seconds if metrics.seconds > 0 else 0.0
    return [
        f"{indent}checks_total.......: {str(total).ljust(7)} {format_number(rate)}/s",
        f"{indent}checks_succeeded...: {format_share(passes / total).ljust(7)} {passes} out of {total}",
        f"{indent}checks_failed......: {format_share(fails / total).ljust(7)} {fails} out of {total}",
        "",
    ]


def _check_lines(metrics: Metrics, tags: Tags, indent: str, further: int = 2) -> list[str]:
    """One check, and how often it failed."""
    sink = metrics.sinks("checks", tags)
    if not isinstance(sink, RateSink) or not sink.count:
        return []
    failed = sink.count - sink.passes
    lines = [f"{indent}{NO if failed else YES} {tags['check']}"]
    if failed:
        share = int(100 * sink.passes / sink.count)
        lines.append(f"{indent}{' ' * further}↳  {share}% — {YES} {sink.passes} / {NO} {failed}")
    return lines


def _seen_checks(metrics: Metrics, where: Tags) -> list[tuple[str, str]]:
    """Group and name of each check, in the order in which they came."""
    seen: dict[tuple[str, str], None] = {}
    for metric in metrics:
        if metric.name == "checks":
            for series in list(metric.series.values()):
                if where.items() <= series.tags.items():
                    seen.setdefault((series.tags.get("group", ""), series.tags.get("check", "")))
    return list(seen)


def _flat_checks(metrics: Metrics, where: Tags, indent: str) -> list[str]:
    """The checks, whatever group they are in: those of one name are one."""
    lines: list[str] = []
    for check in dict.fromkeys(check for _, check in _seen_checks(metrics, where)):
        lines += _check_lines(metrics, {**where, "check": check}, indent, len(indent) - 2)
    return [*lines, ""] if lines else []


def _grouped_checks(metrics: Metrics, first_indent: str) -> list[str]:
    """The checks, each in its group."""
    lines: list[str] = []
    indents: dict[str, str] = {"": first_indent}
    for group, check in sorted(_seen_checks(metrics, {}), key=lambda key: key[0]):
        if group not in indents:
            names = group.split(GROUP_SEPARATOR)[1:]
            for depth, name in enumerate(names, 1):
                path = GROUP_SEPARATOR + GROUP_SEPARATOR.join(names[:depth])
                if path not in indents:
                    lines += ["", f"{first_indent + '  ' * (depth - 1)}█ {name}", ""]
                    indents[path] = first_indent + "  " * depth
        lines += _check_lines(metrics, {"group": group, "check": check}, indents[group])
    return [*lines, ""] if lines else []


def _thresholds(metrics: Metrics, results: list[ThresholdResult], time_unit: str | None) -> list[str]:
    lines: list[str] = []
    by_metric: dict[str, dict[str, list[ThresholdResult]]] = {}
    for result in results:
        name, _ = parse_selector(result.metric)
        by_metric.setdefault(name, {}).setdefault(result.metric, []).append(result)
    for name in sorted(by_metric):
        has_own = name in by_metric[name]
        if has_own:
            lines.append(f"    {name}")
        for number, selector in enumerate(sorted(by_metric[name])):
            indent = "    "
            if selector != name and has_own:
                indent = "      "
                lines += ["", f"{indent}{selector.removeprefix(name)}"]
            elif selector != name:
                lines += ([""] if number else []) + [f"{indent}{selector}"]
            for result in by_metric[name][selector]:
                method = result.threshold.method
                if method == "rate" and metrics[name].kind == "rate":
                    actual = format_share(result.actual)
                elif method in ("count", "rate"):
                    actual = format_number(result.actual) + ("/s" if method == "rate" else "")
                else:
                    actual = _value(result.actual, metrics[name].contains, time_unit)
                mark = YES if result.ok else NO
                unequal = "!" * (result.threshold.operator == "!=")  # as k6, which cuts it off at the sign's end
                lines.append(f"{indent}{mark} '{result.threshold.source.strip()}' {method}{unequal}={actual}")
        lines.append("")
    return lines
