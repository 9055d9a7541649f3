"""The options of a run: what the script exports and what the command line says, checked and put together."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import Any, get_args

from puregrpc.errors import InvalidArgument
from puregrpc.load.problems import LoadError
from puregrpc.load.reading import Fields, seconds
from puregrpc.load.scenarios import Scenario, read_scenario
from puregrpc.metrics.summary import TREND_STATS, Mode
from puregrpc.metrics.thresholds import parse_selector, parse_threshold

__all__ = ["Options", "read_options"]

logger = logging.getLogger("puregrpc.load")

SHORTCUTS = ("iterations", "duration", "stages", "rate")
"""Options that make a scenario by themselves. With more than one of stages, rate and the others, nobody could say which
of them is meant."""

PASSED_OVER = (
    "batch", "batch_per_host", "block_hostnames", "blacklist_ips", "cloud", "discard_response_bodies", "dns", "ext",
    "execution_segment", "execution_segment_sequence", "hosts", "http_debug", "insecure_skip_t_l_s_verify", "linger",
    "local_i_ps", "max_redirects", "no_connection_reuse", "no_cookies_reset", "no_usage_report",
    "no_v_u_connection_reuse", "paused", "rps", "system_tags", "throw", "tls_auth", "tls_cipher_suites", "tls_version",
    "user_agent",
)  # fmt: skip
"""Options of k6 that are about HTTP, or about its own ways: a script may have them."""

_WHOLE = re.compile(r"[0-9]{1,15}")

LOOPS = ("asyncio", "uvloop", "trio")


@dataclass(frozen=True, kw_only=True)
class Options:
    """Checked options. Durations are seconds."""

    scenarios: tuple[Scenario, ...]
    thresholds: dict[str, list[Any]] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    setup_timeout: float = 60.0
    teardown_timeout: float = 60.0
    min_iteration_duration: float = 0.0
    no_setup: bool = False
    no_teardown: bool = False
    no_thresholds: bool = False
    no_summary: bool = False
    """``handle_summary`` is not called."""
    connections: int = 0
    """How many connections of each of the script's clients the users share; 0: each user has its own."""
    seed: int | None = None
    loop: str = ""
    """``asyncio``, ``trio``, or empty: what the script imports decides."""
    summary_trend_stats: tuple[str, ...] = TREND_STATS
    summary_time_unit: str | None = None
    summary_mode: Mode = "compact"


def read_options(script: object, overriding: Mapping[str, Any] | None = None) -> Options:
    """Options as a script exports them; ``overriding`` are those of the command line. Raises LoadError."""
    given = Fields({} if script is None else script, "options")
    over = Fields(overriding or {}, "")
    for fields in (given, over):
        if not any(fields.has(name) for name in (*SHORTCUTS, "scenarios") if name != "stages"):
            fields.drop_empty("stages")
    is_overridden = any(over.has(name) for name in (*SHORTCUTS, "scenarios"))
    if is_overridden:
        for name in (*SHORTCUTS, "scenarios"):
            given.drop(name)

    def both(name: str) -> Fields:
        return over if over.has(name) else given

    if given.has("scenarios") and any(given.has(name) for name in SHORTCUTS):
        raise LoadError(f"options: scenarios, or {', '.join(SHORTCUTS)}: they cannot be combined")
    scenarios = _scenarios(over if over.has("scenarios") else given) or (_shortcut(over, given),)
    options = Options(
        scenarios=scenarios,
        thresholds={
            **given.read("thresholds", {}, _thresholds),
            **over.read("thresholds", {}, _thresholds),
        },
        tags={**given.tags("tags"), **over.tags("tags")},
        setup_timeout=both("setup_timeout").read("setup_timeout", 60.0, _timeout),
        teardown_timeout=both("teardown_timeout").read("teardown_timeout", 60.0, _timeout),
        min_iteration_duration=both("min_iteration_duration").seconds("min_iteration_duration", 0.0),
        no_setup=both("no_setup").boolean("no_setup"),
        no_teardown=both("no_teardown").boolean("no_teardown"),
        no_thresholds=both("no_thresholds").boolean("no_thresholds"),
        no_summary=both("no_summary").boolean("no_summary"),
        connections=both("connections").number("connections", 0),
        seed=both("seed").number("seed", 0) if both("seed").has("seed") else None,
        loop=both("loop").read("loop", "", _loop),
        summary_trend_stats=both("summary_trend_stats").read("summary_trend_stats", TREND_STATS, _trend_stats),
        summary_mode=both("summary_mode").read("summary_mode", "compact", _mode),
        summary_time_unit=both("summary_time_unit").read("summary_time_unit", None, _time_unit),
    )
    for fields in (given, over):
        for name in PASSED_OVER:
            passed_over = fields.drop(name)
            if passed_over is not None:
                logger.warning("options: %r has no meaning here, and is passed over", passed_over)
        for name in ("vus", *Options.__dataclass_fields__):
            fields.drop(name)  # which the other one went before
        fields.finish()
    return options


def _scenarios(fields: Fields) -> tuple[Scenario, ...]:
    def read(value: object, where: str) -> tuple[Scenario, ...]:
        if not isinstance(value, Mapping):
            raise LoadError(f"{where}: a dict of scenarios by name is expected, not {type(value).__name__}")
        return tuple(read_scenario(str(name), given) for name, given in value.items())

    return fields.read("scenarios", (), read)


def _shortcut(over: Fields, given: Fields) -> Scenario:
    """The scenario that ``vus``, ``duration``, ``iterations``, ``stages`` and ``rate`` make."""
    source = over if any(over.has(name) for name in SHORTCUTS) else given
    vus_given = over.has("vus") or given.has("vus")
    has = {name: source.has(name) for name in SHORTCUTS}
    vus = (over if over.has("vus") else given).number("vus", 1, least=0 if has["stages"] else 1)
    if has["stages"] and (has["iterations"] or has["duration"] or has["rate"]):
        raise LoadError("stages cannot be combined with duration, iterations or rate")
    if has["rate"] and has["iterations"]:
        raise LoadError("rate cannot be combined with iterations")
    made: dict[str, object]
    length: list[object] = []

    def keep(value: object, _: str) -> object:
        return value

    if has["duration"]:
        length.append(source.seconds("duration", 0.0) * 1000)
    if has["stages"]:
        made = {"executor": "ramping-vus", "startVUs": vus, "stages": source.read("stages", None, keep)}
    elif has["rate"]:
        if not length:
            raise LoadError("rate needs a duration")
        rate, unit = source.read("rate", (1, "1s"), _rate)
        most = vus if vus_given else 1_000
        first = vus if vus_given else min(10, most)
        made = {
            "executor": "constant-arrival-rate", "rate": rate, "timeUnit": unit, "duration": length[0],
            "preAllocatedVUs": first, "maxVUs": most,
        }  # fmt: skip
    elif has["iterations"]:
        made = {"executor": "shared-iterations", "vus": vus, "iterations": source.read("iterations", None, keep)}
        if length:
            made["maxDuration"] = length[0]
    elif length:
        made = {"executor": "constant-vus", "vus": vus, "duration": length[0]}
    else:
        if vus != 1:
            logger.warning("options: vus means something beside %s: one user makes one iteration", ", ".join(SHORTCUTS))
        made = {"executor": "per-vu-iterations", "vus": 1, "iterations": 1}
    return read_scenario("default", made)


def _rate(value: object, where: str) -> tuple[int, str]:
    """``500`` a second, or ``300/m``."""
    number, _, unit = str(value).partition("/")
    if not _WHOLE.fullmatch(number.strip()) or unit.strip() not in ("", "s", "m", "h"):
        raise LoadError(f"{where}: a rate is a whole number, such as 500, 500/s or 300/m, not {value!r}")
    return int(number), f"1{unit.strip() or 's'}"


def _timeout(value: object, where: str) -> float:
    found = seconds(value, where)
    if not found:
        raise LoadError(f"{where}: it is more than 0, and this is {value!r}")
    return found


def _loop(value: object, where: str) -> str:
    if value not in LOOPS:
        raise LoadError(f"{where}: there are {', '.join(LOOPS)}, not {value!r}")
    if value == "uvloop" and find_spec("uvloop") is None:
        raise LoadError(f"{where}: uvloop is not installed: python -m pip install uvloop")
    return str(value)


def _thresholds(value: object, where: str) -> dict[str, list[Any]]:
    if not isinstance(value, Mapping):
        raise LoadError(f"{where}: a dict of thresholds by metric is expected, not {type(value).__name__}")
    found: dict[str, list[Any]] = {}
    for selector, each in value.items():
        if each is None:
            continue
        given = [each] if isinstance(each, str | Mapping) else each
        if not isinstance(given, Sequence):
            raise LoadError(f"{where}[{selector!r}]: a list of thresholds is expected, not {each!r}")
        try:
            parse_selector(str(selector))
            parsed = [parse_threshold(one) for one in given]
        except InvalidArgument as error:
            raise LoadError(f"{where}[{selector!r}]: {error}") from None
        for one in parsed:
            if one.delay_abort_eval is not None:
                seconds(one.delay_abort_eval, f"{where}[{selector!r}].delayAbortEval")
        found[str(selector)] = list(given)
    return found


def _trend_stats(value: object, where: str) -> tuple[str, ...]:
    from puregrpc.metrics.sinks import TrendSink

    if isinstance(value, str):
        value = [part.strip() for part in value.split(",")] if value.strip() else []
    if not isinstance(value, Sequence):
        raise LoadError(f"{where}: a list such as ['avg', 'p(99)'] is expected, not {value!r}")
    for name in value:
        try:
            TrendSink().value(str(name), 1.0)
        except KeyError:
            raise LoadError(f"{where}: a trend has avg, min, med, max, count and p(N), not {name!r}") from None
    return tuple(str(name) for name in value)


def _mode(value: object, where: str) -> Mode:
    for mode in get_args(Mode):
        if value == mode:
            found: Mode = mode
            return found
    raise LoadError(f"{where}: there are {', '.join(get_args(Mode))}, not {value!r}")


def _time_unit(value: object, where: str) -> str | None:
    if value == "":
        return None
    if value not in ("s", "ms", "us"):
        raise LoadError(f"{where}: there are s, ms and us, not {value!r}")
    return str(value)
