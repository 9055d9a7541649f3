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

MAX_FRAME_SIZE = 16 << 10
"""The largest frame received: what every HTTP/2 peer may send (RFC 9113, section 4.2)."""

HEADER_DECODE_LIMIT = 4
"""How many times the announced header list size HPACK may inflate a block to. Up to there the call alone fails, since
what is announced is advice (RFC 9113, section 6.5.2); beyond, the connection, since the block cannot be skipped."""

MAX_CONTINUATION_FRAMES = 32
"""CONTINUATION frames of one header block: at the smallest sensible size they hold any header list that is allowed
(CVE-2024-27316 and its like: floods of them)."""

MAX_HEADER_BLOCK_SIZE = 256 << 10
"""Octets of one header block as it comes, before HPACK."""

MAX_COMPRESSED_MEMBERS = 16
"""Members of one gzip message, or frames of a zstd one. RFC 1952 allows many; no gRPC peer sends more than one, and
each costs a copy of what follows it."""

STREAMS_BEFORE_SETTINGS = 100
"""Calls that a client opens before it knows the server's SETTINGS_MAX_CONCURRENT_STREAMS: the least that RFC 9113,
section 6.5.2, recommends servers to allow."""
