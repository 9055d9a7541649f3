"""Timestamps and durations as text and as Python's own (timestamp.proto, duration.proto; RFC 3339, section 5.6)."""

from __future__ import annotations

import re
from datetime import date, datetime, timedelta, timezone
from functools import lru_cache

from puregrpc.codec.faults import Fault, shown

__all__ = [
    "duration_text",
    "native_duration",
    "native_timestamp",
    "parse_duration",
    "parse_timestamp",
    "timestamp_text",
]

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_EPOCH_ORDINAL = date(1970, 1, 1).toordinal()
_FIRST_SECOND = -62135596800
"""0001-01-01T00:00:00Z"""
_LAST_SECOND = 253402300799
"""9999-12-31T23:59:59Z"""
_MAX_DURATION = 315576000000
"""Ten thousand years, in seconds."""

_TIMESTAMP = re.compile(
    r"(\d{4}-\d\d-\d\d)T([01]\d|2[0-3]):([0-5]\d):([0-5]\d)(?:\.(\d{1,9}))?(?:Z|([+-])([01]\d|2[0-3]):([0-5]\d))\Z",
    re.ASCII,
)
_DURATION = re.compile(r"([+-]?)(\d{0,12})(?:\.(\d{0,9}))?s\Z", re.ASCII)


def _fraction(nanos: int) -> str:
    """Nothing, or 3, 6 or 9 digits: as few of these as are exact."""
    if not nanos:
        return ""
    if nanos % 1_000_000 == 0:
        return f".{nanos // 1_000_000:03d}"
    if nanos % 1000 == 0:
        return f".{nanos // 1000:06d}"
    return f".{nanos:09d}"


def _check_timestamp(seconds: int, nanos: int) -> None:
    if not _FIRST_SECOND <= seconds <= _LAST_SECOND:
        raise Fault(f"timestamp out of range: {seconds} seconds is not in the years 1 to 9999")
    if not 0 <= nanos <= 999_999_999:
        raise Fault(f"timestamp with {nanos} nanoseconds")


@lru_cache(maxsize=256)
def _day_text(days: int) -> str:
    """The day that comes so many days after 1970-01-01."""
    return date.fromordinal(days + _EPOCH_ORDINAL).isoformat()


@lru_cache(maxsize=256)
def _days(day: str) -> int:
    try:
        return date(int(day[:4]), int(day[5:7]), int(day[8:])).toordinal() - _EPOCH_ORDINAL
    except ValueError as error:
        if day.startswith("0000"):
            raise Fault(f"timestamp out of range: the year 0 in {day}") from None
        raise Fault(f"no such day: {day}: {error}") from None


def timestamp_text(seconds: int, nanos: int) -> str:
    """RFC 3339 in UTC."""
    _check_timestamp(seconds, nanos)
    days, second = divmod(seconds, 86400)
    minute, second = divmod(second, 60)
    hour, minute = divmod(minute, 60)
    return f"{_day_text(days)}T{hour:02d}:{minute:02d}:{second:02d}{_fraction(nanos)}Z"


def native_timestamp(seconds: int, nanos: int) -> datetime:
    """An aware datetime in UTC; what is finer than a microsecond is cut off."""
    _check_timestamp(seconds, nanos)
    return _EPOCH + timedelta(seconds=seconds, microseconds=nanos // 1000)


def parse_timestamp(value: object) -> tuple[int, int]:
    """Seconds and nanoseconds of RFC 3339 text or of a datetime (without a zone: UTC)."""
    if isinstance(value, datetime):
        aware = value if value.tzinfo is not None else value.replace(tzinfo=timezone.utc)
        since = aware - _EPOCH
        seconds = since.days * 86400 + since.seconds
        if not _FIRST_SECOND <= seconds <= _LAST_SECOND:
            raise Fault(f"timestamp out of range: {value.isoformat()} is not in the years 1 to 9999 in UTC")
        return seconds, since.microseconds * 1000
    match = _TIMESTAMP.match(value) if isinstance(value, str) else None
    if match is None:
        raise Fault(f"RFC 3339 timestamp expected, as in 2024-01-31T12:00:00Z, not {shown(value)}")
    day, hour, minute, second, fraction, sign, zone_hours, zone_minutes = match.groups()
    seconds = _days(day) * 86400 + int(hour) * 3600 + int(minute) * 60 + int(second)
    if sign:
        offset = int(zone_hours) * 3600 + int(zone_minutes) * 60
        seconds += -offset if sign == "+" else offset
    if not _FIRST_SECOND <= seconds <= _LAST_SECOND:
        raise Fault(f"timestamp out of range: {shown(value)}")
    return seconds, int(fraction.ljust(9, "0")) if fraction else 0


def _check_duration(seconds: int, nanos: int) -> None:
    if not -_MAX_DURATION <= seconds <= _MAX_DURATION:
        raise Fault(f"duration out of range: {seconds} seconds is more than 10,000 years")
    if not -999_999_999 <= nanos <= 999_999_999 or (seconds > 0 > nanos) or (seconds < 0 < nanos):
        raise Fault(f"duration with {seconds} seconds and {nanos} nanoseconds")


def duration_text(seconds: int, nanos: int) -> str:
    """Seconds with a fraction and an ``s``."""
    _check_duration(seconds, nanos)
    sign = "-" if seconds < 0 or nanos < 0 else ""
    return f"{sign}{abs(seconds)}{_fraction(abs(nanos))}s"


def native_duration(seconds: int, nanos: int) -> timedelta:
    """A timedelta; what is finer than a microsecond is cut off."""
    _check_duration(seconds, nanos)
    micros = abs(nanos) // 1000
    return timedelta(seconds=seconds, microseconds=micros if nanos >= 0 else -micros)


def parse_duration(value: object) -> tuple[int, int]:
    """Seconds and nanoseconds of text such as ``1.5s``, or of a timedelta."""
    if isinstance(value, timedelta):
        micros = value // timedelta(microseconds=1)
        sign = -1 if micros < 0 else 1
        seconds, rest = divmod(abs(micros), 1_000_000)
        seconds, nanos = sign * seconds, sign * rest * 1000
    else:
        match = _DURATION.match(value) if isinstance(value, str) else None
        if match is None or not (match[2] or match[3]):
            raise Fault(f"duration expected, as in 1.5s, not {shown(value)}")
        seconds, nanos = int(match[2] or 0), int((match[3] or "").ljust(9, "0"))
        if match[1] == "-":
            seconds, nanos = -seconds, -nanos
    if not -_MAX_DURATION <= seconds <= _MAX_DURATION:
        raise Fault(f"duration out of range: {shown(value)}")
    return seconds, nanos
