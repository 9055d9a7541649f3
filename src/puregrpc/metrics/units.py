"""Values as people read them: durations, sizes, shares, in the forms that k6 uses."""

from __future__ import annotations

import math

__all__ = ["format_duration", "format_number", "format_share", "format_size"]

TIME_UNITS = {"s": (0.001, "s"), "ms": (1.0, "ms"), "us": (1000.0, "µs")}


def format_number(value: float, digits: int = 6) -> str:
    """A number with at most ``digits`` decimals, without zeros at the end."""
    if abs(value) >= 1e21:
        return f"{value:g}"
    text = f"{value:.{digits}f}"
    return (text.rstrip("0").rstrip(".") if "." in text else text) or "0"


def _truncated(value: float, digits: int) -> str:
    scale = 10**digits
    return format_number(math.trunc(value * scale + 1e-9) / scale, digits)


def format_duration(milliseconds: float, unit: str | None = None) -> str:
    """Milliseconds in the unit that suits them, or in ``unit`` (``s``, ``ms``, ``us``): ``417.52µs``, ``1m3s``."""
    if unit is not None:
        factor, suffix = TIME_UNITS[unit]
        return f"{milliseconds * factor:.2f}{suffix}"
    if milliseconds < 0:
        return f"-{format_duration(-milliseconds)}"
    if milliseconds == 0:
        return "0s"
    if milliseconds < 0.001:
        return f"{_truncated(milliseconds * 1e6, 0)}ns"
    if milliseconds < 1:
        return f"{_truncated(milliseconds * 1e3, 2)}µs"
    if milliseconds < 1000:
        return f"{_truncated(milliseconds, 2)}ms"
    if milliseconds < 60_000:
        return f"{_truncated(milliseconds / 1000, 2)}s"
    minutes, seconds = divmod(int(milliseconds / 1000), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h{minutes}m{seconds}s" if hours else f"{minutes}m{seconds}s"


def format_size(octets: float) -> str:
    """Octets with a decimal prefix: ``830 B``, ``1.0 kB``."""
    if octets < 10:
        return f"{format_number(octets, 0)} B"
    exponent = min(int(math.log(octets, 1000) + 1e-12), 6)
    value = math.floor(octets / 1000**exponent * 10 + 0.5) / 10
    return f"{value:.{1 if value < 10 else 0}f} {('B', 'kB', 'MB', 'GB', 'TB', 'PB', 'EB')[exponent]}"


def format_share(share: float) -> str:
    """A share from 0 to 1 as a percentage: ``66.66%``, cut off, so that 100 % means all."""
    return f"{math.trunc(share * 10_000 + 1e-9) / 100:.2f}%"
