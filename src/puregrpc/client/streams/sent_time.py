"""When the messages of a stream were sent, where a field of them says so."""

from __future__ import annotations

import re
from calendar import timegm
from collections.abc import Mapping
from typing import Any

from puregrpc.errors import InvalidArgument
from puregrpc.proto.descriptors import FieldDescriptor, MessageDescriptor

__all__ = ["SentTime"]

TIMESTAMP = "google.protobuf.Timestamp"

_RFC_3339 = re.compile(r"(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(\.\d+)?Z")
"""As ProtoJSON writes a Timestamp."""

UNITS = ((1e17, 1e9), (1e14, 1e6), (1e11, 1e3))
"""From which number on it is in nano-, micro- or milliseconds: of seconds, so many are thousands of years."""


class SentTime:
    """Reads the time from a field: a google.protobuf.Timestamp, or a number of (milli-, micro-, nano-) seconds since
    the epoch."""

    def __init__(self, descriptor: MessageDescriptor, name: str) -> None:
        """Raises InvalidArgument if there is no such field, or it can hold no time."""
        field = next((each for each in descriptor.fields if name in (each.name, each.json_name)), None)
        if field is None:
            known = ", ".join(each.name for each in descriptor.fields)
            raise InvalidArgument(f"timeField: {descriptor.full_name} has no field {name!r}; it has {known}")
        if not holds_time(field):
            raise InvalidArgument(f"timeField: {field.full_name} is no {TIMESTAMP} and no number")
        self._field = field

    def read(self, message: Any) -> float | None:
        """Seconds since the epoch; None if the message does not say. ``message`` is a dict, or an object."""
        field = self._field
        if isinstance(message, Mapping):
            value: Any = message.get(field.json_name)
        elif field.message_type is not None and not message.HasField(field.name):
            return None
        else:
            value = getattr(message, field.name)
        if field.message_type is None:
            return in_seconds(float(value or 0)) or None
        if not isinstance(value, str):
            return None if value is None else float(value.seconds) + float(value.nanos) / 1e9
        found = _RFC_3339.fullmatch(value)
        if found is None:
            return None
        *whole, fraction = found.groups()
        return timegm((*map(int, whole), 0, 0, 0)) + float(fraction or 0)


def holds_time(field: FieldDescriptor) -> bool:
    """Whether a field is a Timestamp, or a number."""
    if field.is_repeated:
        return False
    if field.message_type is not None:
        return field.message_type.full_name == TIMESTAMP
    return isinstance(field.default, int | float) and not isinstance(field.default, bool) and not field.enum_type


def in_seconds(number: float) -> float:
    """A number of any of the units, in seconds."""
    return next((number / unit for least, unit in UNITS if number >= least), number)
