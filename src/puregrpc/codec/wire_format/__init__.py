"""Protobuf's wire format, one field after the other: tags, varints, groups (encoding guide). Knows no descriptor."""
