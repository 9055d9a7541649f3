"""Edition features of descriptors that come as FileDescriptorProto (https://protobuf.dev/editions/features/).

A feature that an element does not set is its parent's; a file's are those of its edition. The two syntaxes are
editions with fixed features, which their own options (``packed``, groups, ``required``) may still bend.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from google.protobuf import descriptor_pb2

from puregrpc.errors import SchemaError
from puregrpc.proto.descriptors import Edition

__all__ = ["Features", "edition_of", "features_of_edition"]

_SET = descriptor_pb2.FeatureSet
_EDITION_UNSTABLE = 9999
"""google.protobuf.EDITION_UNSTABLE, which older releases of protobuf have no name for."""


@dataclass(frozen=True, slots=True)
class Features:
    """The features that change what bytes or JSON mean."""

    explicit_presence: bool
    required: bool
    closed_enum: bool
    packed: bool
    validates_utf8: bool
    delimited: bool
    strict_json: bool

    def with_overrides(self, options: descriptor_pb2.FeatureSet) -> Features:
        """These features with those that ``options`` sets in their place."""
        changes: dict[str, bool] = {}
        if options.field_presence:
            changes["explicit_presence"] = options.field_presence != _SET.IMPLICIT
            changes["required"] = options.field_presence == _SET.LEGACY_REQUIRED
        if options.enum_type:
            changes["closed_enum"] = options.enum_type == _SET.CLOSED
        if options.repeated_field_encoding:
            changes["packed"] = options.repeated_field_encoding == _SET.PACKED
        if options.utf8_validation:
            changes["validates_utf8"] = options.utf8_validation == _SET.VERIFY
        if options.message_encoding:
            changes["delimited"] = options.message_encoding == _SET.DELIMITED
        if options.json_format:
            changes["strict_json"] = options.json_format == _SET.ALLOW
        return replace(self, **changes) if changes else self


_PROTO2 = Features(
    explicit_presence=True,
    required=False,
    closed_enum=True,
    packed=False,
    validates_utf8=False,
    delimited=False,
    strict_json=False,
)
_EDITION_2023 = Features(
    explicit_presence=True,
    required=False,
    closed_enum=False,
    packed=True,
    validates_utf8=True,
    delimited=False,
    strict_json=True,
)
_PROTO3 = replace(_EDITION_2023, explicit_presence=False)


def edition_of(file: descriptor_pb2.FileDescriptorProto) -> Edition:
    """The edition of a file. Raises SchemaError for a syntax or an edition that is not known."""
    if file.syntax in ("", "proto2"):
        return Edition.PROTO2
    if file.syntax == "proto3":
        return Edition.PROTO3
    if file.syntax != "editions":
        raise SchemaError(f"{file.name}: unknown syntax {file.syntax!r}; known are proto2, proto3 and editions")
    if file.edition == _EDITION_UNSTABLE:
        return Edition.EDITION_2026  # protobuf's own tests of what comes next
    try:
        return Edition(file.edition)
    except ValueError:
        raise SchemaError(f"{file.name}: edition {file.edition} is not supported; 2023 to 2026 are") from None


def features_of_edition(edition: Edition) -> Features:
    """The features of a file that sets none."""
    if edition is Edition.PROTO2:
        return _PROTO2
    if edition is Edition.PROTO3:
        return _PROTO3
    return _EDITION_2023
