"""Features: what an edition, and options named ``features``, make of the elements of a file.

Defaults and inheritance: https://protobuf.dev/editions/features/ and google/protobuf/descriptor.proto (FeatureSet).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from puregrpc.proto.parse import ast

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["PROTO2", "PROTO3", "Features", "feature_settings", "file_features", "inherit"]


@dataclass(frozen=True, slots=True)
class Features:
    """The features of one element, by the names and value names of FeatureSet."""

    field_presence: str
    enum_type: str
    repeated_field_encoding: str
    utf8_validation: str
    message_encoding: str = "LENGTH_PREFIXED"
    json_format: str = "ALLOW"
    enforce_naming_style: str = "STYLE_LEGACY"
    default_symbol_visibility: str = "EXPORT_ALL"
    enforce_proto_limits: str = "LEGACY_NO_EXPLICIT_LIMITS"


PROTO2 = Features("EXPLICIT", "CLOSED", "EXPANDED", "NONE", json_format="LEGACY_BEST_EFFORT")
PROTO3 = Features("IMPLICIT", "OPEN", "PACKED", "VERIFY")
EDITION_2023 = Features("EXPLICIT", "OPEN", "PACKED", "VERIFY")
EDITION_2024 = replace(EDITION_2023, enforce_naming_style="STYLE2024", default_symbol_visibility="EXPORT_TOP_LEVEL")
EDITION_2026 = replace(
    EDITION_2024,
    enforce_naming_style="STYLE2026",
    default_symbol_visibility="STRICT",
    enforce_proto_limits="PROTO_LIMITS2026",
)
EDITIONS = {1000: EDITION_2023, 1001: EDITION_2024, 1002: EDITION_2026}

NAMES = frozenset(Features.__slots__)


def file_features(file: ast.File) -> Features:
    """The features that the elements of a file inherit from it."""
    if file.syntax == "proto3":
        return PROTO3
    if file.syntax != "editions":
        return PROTO2
    return inherit(EDITIONS.get(file.edition, EDITION_2026), file.options)


def inherit(parent: Features, options: Iterable[ast.Option] | None) -> Features:
    """The features of an element inside one that has ``parent``."""
    if not options:
        return parent
    changes = {name: value for name, value in feature_settings(options) if name in NAMES}
    return replace(parent, **changes) if changes else parent


def feature_settings(options: Iterable[ast.Option]) -> Iterator[tuple[str, str]]:
    """(feature, value) for each feature of FeatureSet itself that the options set, in either notation."""
    for option in options:
        if option.name[0] != ("features", False):
            continue
        if len(option.name) == 2 and not option.name[1][1] and isinstance(option.value, str):
            yield option.name[1][0], option.value
        elif len(option.name) == 1 and isinstance(option.value, tuple):
            tokens = option.value
            depth = 0
            for index, token in enumerate(tokens):
                depth += (token in ("{", "[", "<")) - (token in ("}", "]", ">"))
                if token == ":" and depth == 0 and index + 1 < len(tokens):
                    yield tokens[index - 1], tokens[index + 1]
