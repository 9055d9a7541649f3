"""Every limit of the wire, by name, with the reason for its value. Sizes are octets, times are seconds."""

from __future__ import annotations

from typing import NamedTuple


class Rate(NamedTuple):
    """How many at once, and how many a second after that."""

    burst: int
    per_second: float


DEFAULT_MAX_MESSAGE_SIZE = 4 << 20
"""The largest message received unless the user says otherwise: the default of grpc-go, grpcio and k6."""

MAX_HEADER_LIST_SIZE = 16 << 10
"""The header list size announced and enforced (RFC 9113, section 6.5.2): what grpc-go and grpcio take by default is
16 MB and 16 KiB; metadata is meant to be small, and a header list is decoded before anyone can refuse it."""

SEND_BUFFER_SIZE = 64 << 10
"""How much of a call's outgoing data may wait for flow control before its sender is held back: as much as a peer's
first window (RFC 9113, section 6.9.2) takes in one go."""

MAX_GRPC_MESSAGE_SIZE = 8 << 10
"""The longest grpc-message sent, percent-encoded: half of what our own clients and grpcio's take as headers by default.
Texts that echo what a peer sent grow threefold when they are encoded."""

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

MAX_CONCURRENT_STREAMS = 1000
"""Calls that a client may have open at once on one connection of a server. RFC 9113, section 6.5.2, recommends at least
100; with so few a client with one channel, as gRPC's have, waits in a queue under loads that a server takes with ease.
grpc-go and grpcio set no limit, and leave what a connection may hold to whoever connects."""

STREAMS_BEFORE_SETTINGS = 100
"""Calls that a client opens before it knows the server's SETTINGS_MAX_CONCURRENT_STREAMS: the least that RFC 9113,
section 6.5.2, recommends servers to allow."""

HANDSHAKE_TIMEOUT = 20.0
"""How long a peer may take to send its preface and first SETTINGS, and to acknowledge those of this side (RFC 9113,
section 6.5.3): one that says nothing holds a connection, and one that does not acknowledge keeps to no window."""

GOAWAY_PING_TIMEOUT = 10.0
"""How long a server that goes away waits for its PING to come back before it takes no more calls: a few round trips."""

STREAM_RESETS = Rate(200, 1000)
"""RST_STREAM frames received (rapid reset, CVE-2023-44487): each may have cost a call's set-up, 0.1 ms or so. The burst
is raised to twice the calls that may be open at once, since a client may cancel them all."""

STREAM_FAULTS = Rate(100, 50)
"""Streams that this side had to reset because of what the peer sent on them (MadeYouReset, CVE-2025-8671)."""

SETTINGS_FRAMES = Rate(100, 10)
"""SETTINGS frames received (CVE-2019-9515). grpc peers send one, and one more each time their window grows."""

MAX_SETTINGS_IN_FRAME = 32
"""Settings in one frame: there are fewer than ten that have a meaning."""

PINGS = Rate(2000, 1000)
"""PING frames received without DATA sent since the last one (CVE-2019-9512). Bandwidth probes of grpc peers send one
for each round trip while data flows, thousands in a second on one machine, and are not counted; what is a nuisance
short of a flood is a matter for keepalive enforcement."""

EMPTY_FRAMES = Rate(1000, 100)
"""DATA without data that does not end the stream, header frames without headers (CVE-2019-9518)."""

GOAWAY_FRAMES = Rate(20, 1)
"""GOAWAY frames received: two make a graceful end, and each is held against every open call."""

PRIORITY_FRAMES = Rate(1000, 100)
"""PRIORITY frames received (CVE-2019-9513): RFC 9113 deprecates them, and they are read for their form alone."""

UNKNOWN_FRAMES = Rate(1000, 100)
"""Frames of unknown types received: they are ignored, and grpc peers send none."""

MAX_WINDOW_UPDATES = 20_000
"""WINDOW_UPDATE frames received with no DATA sent between: a peer that gives back each frame of the largest windows on
its own sends fewer."""

MAX_UNSENT_REPLIES = 128 << 10
"""Octets of replies (acknowledgements, resets) that wait for a peer who does not read them (CVE-2019-9512, -9514,
-9515, -9517). Ten thousand PINGs' worth."""

MAX_PING_STRIKES = 2
"""PINGs too soon after another that a server forgives (gRFC A8)."""

MIN_PING_INTERVAL_WITHOUT_CALLS = 7200.0
"""The least between two PINGs of a client that has no call open and no permission to do so (gRFC A8: two hours)."""

FOREIGN_BODY_SIZE = 1 << 10
"""How much of the body of a response that is not gRPC's is shown in the error: enough for a proxy's excuse."""

MAX_DATA_FRAME_SIZE = 64 << 10
"""The largest DATA frame sent, whatever the peer allows: other calls' turns come after each frame."""

FOREIGN_REQUEST_TIMEOUT = 5.0
"""How long a server waits for the rest of a request that is none of gRPC's before it answers 405 or 415."""

REMEMBERED_RESETS = 1024
"""Streams reset by this side whose late frames are ignored: as many as are likely to have something on its way."""
