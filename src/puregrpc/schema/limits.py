"""Limits on descriptors that come from elsewhere: a protoset file, a peer's reflection service."""

from __future__ import annotations

MAX_DESCRIPTOR_BYTES = 256 * 1024 * 1024
"""Of one FileDescriptorSet, or of all that a peer gives for one request.

The sets of the largest public APIs, with comments, are around 100 MB.
"""

MAX_SECONDS = 60
"""For all the files of one request to a peer: googleapis, asked for file by file, takes a few."""

MAX_JSON_NAME_LENGTH = 4096

MAX_NESTING = 64
"""Messages declared inside messages. protoc stops at 32; descriptors themselves cannot be nested much deeper."""

MAX_MESSAGE_SET_NUMBER = (1 << 31) - 2
"""Extensions of a message with message_set_wire_format carry their number in a varint of its own."""

FIRST_RESERVED_NUMBER = 19000
LAST_RESERVED_NUMBER = 19999
"""Kept for the protobuf implementation (language specification, "Assigning Field Numbers")."""
