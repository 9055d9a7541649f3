"""How a codec shows and takes messages."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["MAX_ELEMENTS", "UNKNOWN_FIELDS", "Options"]

MAX_ELEMENTS = 1 << 20
"""How much decoding makes of one message, unless the user says otherwise."""

UNKNOWN_FIELDS = "[unknown fields]"
"""The key under which unknown fields are kept. No field has it as a JSON name: the bracketed form is for extensions."""


@dataclass(frozen=True, slots=True)
class Options:
    """The choices of a codec; see ``Codec`` for their meaning."""

    values: Literal["json", "native"] = "json"
    field_names: Literal["json", "original"] = "json"
    enum_numbers: bool = False
    emit_defaults: bool = True
    unknown_fields: Literal["drop", "keep", "refuse"] = "drop"
    ignore_unknown_names: bool = False
    well_known_types: bool = True
    max_depth: int = 100
    max_elements: int = MAX_ELEMENTS
    counts: bool = False
    """Decoders count elements: those for messages that are large enough to have too many."""

    @property
    def is_native(self) -> bool:
        """Whether values are Python's own and not JSON's."""
        return self.values == "native"
