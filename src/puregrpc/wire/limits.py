"""Every limit of the wire, by name, with the reason for its value. Sizes are octets, times are seconds."""

from __future__ import annotations

DEFAULT_MAX_MESSAGE_SIZE = 4 << 20
"""The largest message received unless the user says otherwise: the default of grpc-go, grpcio and k6."""

MAX_HEADER_LIST_SIZE = 16 << 10
"""The header list size announced and enforced (RFC 9113, section 6.5.2): what grpc-go and grpcio take by default is
16 MB and 16 KiB; metadata is meant to be small, and a header list is decoded before anyone can refuse it."""

SEND_BUFFER_SIZE = 64 << 10
"""How much of a call's outgoing data may wait for flow control before its sender is held back: as much as a peer's
first window (RFC 9113, section 6.9.2) takes in one go."""
