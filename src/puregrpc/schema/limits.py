"""Limits on descriptors that come from elsewhere: a protoset file, a peer's reflection service."""

from __future__ import annotations

MAX_DESCRIPTOR_BYTES = 256 * 1024 * 1024
"""Of one FileDescriptorSet. The sets of the largest public APIs, with comments, are around 100 MB."""

MAX_NAME_LENGTH = 4096
"""Of a full name. Full names repeat the names they are nested in, so a limit on them bounds the memory of a schema."""

MAX_JSON_NAME_LENGTH = 4096

MAX_NESTING = 64
"""Messages declared inside messages. protoc stops at 32; descriptors themselves cannot be nested much deeper."""

MAX_MESSAGE_SET_NUMBER = (1 << 31) - 2
"""Extensions of a message with message_set_wire_format carry their number in a varint of its own."""

FIRST_RESERVED_NUMBER = 19000
LAST_RESERVED_NUMBER = 19999
"""Kept for the protobuf implementation (language specification, "Assigning Field Numbers")."""
