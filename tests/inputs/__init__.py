"""Families of hostile input that grow, beside those of sources (`tests.proto.families`): whatever is in them costs what
its size is worth.

Each entry makes, of a number of octets, the work that is to be measured. The work passes over the errors that are
documented, and no others.
"""

from __future__ import annotations

from collections.abc import Callable

from tests.inputs.captures import CAPTURES
from tests.inputs.descriptors import DESCRIPTORS
from tests.inputs.messages import MESSAGES
from tests.inputs.texts import TEXTS

__all__ = ["INPUTS", "Work"]

Work = Callable[[], object]

INPUTS: dict[str, Callable[[int], Work]] = {**MESSAGES, **DESCRIPTORS, **CAPTURES, **TEXTS}
