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
"""The header list size that a server announces and enforces (RFC 9113, section 6.5.2): what grpcio takes at most.
Whoever connects may send one on each connection, and it is decoded before anyone can refuse it."""

CLIENT_MAX_HEADER_LIST_SIZE = 256 << 10
"""The same for a client. It has chosen its server, and trailers carry rich error details: some have stack traces of
tens of KiB. grpc-go's clients take 16 MiB, and its servers fail the call instead of sending more than is announced; but
proxies take 60 to 64 KiB of headers (Envoy, nghttp2), so that there is little beyond this."""

LARGEST_HEADER_LIST_SIZE = 16 << 20
"""The most that may be asked for: grpc-go's default."""

SEND_BUFFER_SIZE = 64 << 10
"""How much of a call's outgoing data may wait for flow control before its sender is held back: as much as a peer's
first window (RFC 9113, section 6.9.2) takes in one go."""

MAX_GRPC_MESSAGE_SIZE = 8 << 10
"""The longest grpc-message sent, percent-encoded: half of what our own clients and grpcio's take as headers by default.
Texts that echo what a peer sent grow threefold when they are encoded."""

FIRST_STREAM_WINDOW = 65535
"""What a server lets a client send on a new stream before its first octets have been looked at, however large the
stream's window may become then (RFC 9113, section 6.9.2, has the same). A client opens as many streams as it may; with
this a thousand of them hold no more than a few large messages do."""

MESSAGE_OVERHEAD = 256
"""What a message that waits for its owner is taken to cost beside its octets: the object that it is, and its entries in
two queues. An empty message takes five octets of a window, and fifty times as much memory."""

CALL_MEMORY = 6 << 10
"""What an open call and its handler are taken to cost all connections of a server together, beside its messages: the
call, its task with its frames, and what the engine knows of it."""

THREAD_MEMORY = 28 << 10
"""What a handler's thread is taken to cost, where a connection has one though all that there are of them are taken."""

CONNECTION_MEMORY = 16 << 20
"""What a connection may hold of its peer's messages, whole ones that wait for their owner and parts of others, all
streams together: four messages of the largest size, and half of it is what windows may grow to. Windows shrink as it
fills up; a server ends the call that holds most once it is passed. At least twice the largest message allowed."""

SERVER_MEMORY = 24 << 20
"""What all connections of a server may hold together (`MemoryBudget`), calls included: as much as lets a
process grow by 64 MiB with what it takes beside. At least twice the largest message allowed."""

SERVER_UNSENT = 16 << 20
"""What may wait to be sent on all connections of a server before handlers wait: those of connections with more than
GUARANTEED_MEMORY waiting, and on every connection those of methods that have given larger answers than that. What the
handlers of such methods are about to send counts too."""

GUARANTEED_MEMORY = 24 << 10
"""What a connection may hold, and have waiting to be sent, whatever the other connections of its server do: a frame of
DATA and a few small ones, or four calls. A thousand connections at once have no more than SERVER_MEMORY by it."""

MAX_UNSENT_OUTPUT = 8 << 20
"""What may wait to be sent on one connection, flow control or the transport holding it back, before new handlers wait:
two messages of the largest size that receivers take by default."""

MAX_UNSENT_HEADERS = 256 << 10
"""What may wait for the transport, which no flow control holds back, before a server reads no further: a peer that
takes no answers gets no more of them. Twice MAX_UNSENT_REPLIES, which ends the connection."""

TURN_TIME = 0.004
"""How long a connection works on what came before others get their turn: less than half of what they may have to wait,
since the last frame may take as long again."""

TURN_SLICE = 1 << 10
"""How many octets of small frames are looked at between two looks at the clock, half a millisecond's worth."""

LARGE_HEADER_BLOCK = 256
"""From so many octets on, a block of header fields is worth a look at the clock of its own."""

LONG_HEADER_BLOCK = 2 << 10
"""Beyond so many octets, a block of header fields is read in steps, between which others may have their turn: it takes
up to six milliseconds up to there, in h2."""

LONG_CODED_STRING = 8 << 10
"""Octets of a Huffman-coded string that are decoded between two looks at the clock, about a millisecond's worth."""

READ_FIELDS = 16
"""How many fields of a long block are looked at between two looks at the clock: 0.1 ms, if the values are many."""

MAX_ESCAPED_RUNS = 4 << 10
"""Runs of escaped octets that are decoded in a grpc-message, those behind them being shown as they came: more than the
longest message can hold that this side sends, and two or three milliseconds."""

TURN_CALLS = 64
"""How many calls that end together go in one turn: who made them goes on, for up to 0.1 ms each."""

TURN_BEGINNINGS = 64
"""How many calls a client may begin in one turn: their handlers begin together, and take up to 0.1 ms each. Messages
that come together count as well, each four as a beginning."""

TURN_MESSAGES = 256
"""How many messages of one frame are given to their owner between two looks at the clock."""

MOST_INFLATING = 2
"""How many messages a server inflates at once, on its loop and in its handlers' threads each, all its connections
together, as long as there is room for answers: each takes twice its size meanwhile, and what came of it may be a
thousandth."""

INFLATE_SLICE = 256 << 10
"""How much is inflated between two looks at the clock, about a millisecond."""

MAX_JOINED_VALUES = 128
"""Values of one header field, joined with commas, each of which costs as much as a field: binary metadata with more of
them fails its call, and of the encodings that a peer takes no more are looked at."""

MAX_FRAME_SIZE = 16 << 10
"""The largest frame received: what every HTTP/2 peer may send (RFC 9113, section 4.2)."""

HEADER_DECODE_LIMIT = 4
"""How many times the announced header list size HPACK may inflate a block to. Up to there the call alone fails, since
what is announced is advice (RFC 9113, section 6.5.2); beyond, the connection, since the block cannot be skipped."""

MAX_CONTINUATION_FRAMES = 32
"""CONTINUATION frames of one header block: at the smallest sensible size they hold any header list that is allowed
(CVE-2024-27316 and its like: floods of them). Where larger blocks are allowed, twice as many as these take in frames of
full size."""

MAX_HEADER_BLOCK_SIZE = 64 << 10
"""Octets of one header block as it comes, before HPACK: as many as it may be inflated to. At least HEADER_DECODE_LIMIT
times the header list size that is allowed."""

LARGEST_HEADER_BLOCK_SIZE = (1 << 24) - 1
"""The same whatever header lists are allowed: h2 is given a block as one frame, which cannot be longer."""

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

SETTINGS_ACKNOWLEDGEMENTS = Rate(20, 1)
"""Acknowledgements of SETTINGS received: this side sends SETTINGS once."""

STREAM_REFUSALS = Rate(1000, 200)
"""Streams refused because there were as many as are allowed, or because the owner wanted no more. A client that knows
the SETTINGS has no reason for any; one that does not may open hundreds. At least twice the calls that may be open."""

FOREIGN_REQUESTS = Rate(1000, 200)
"""Requests that the connection answers by itself, since they are not gRPC's or cannot be served (405, 415, 431, and
statuses for broken timeouts): a proxy may bring a browser's or a scanner's."""

INFORMATIONAL_RESPONSES = Rate(1000, 100)
"""1xx responses received: gRPC servers send none, proxies one a call."""

PING_ACKNOWLEDGEMENTS = Rate(1000, 1000)
"""Acknowledgements of PING received: this side has one PING on its way at a time, and a new one each round trip at the
most."""

SMALL_PARTS = Rate(20_000, 10_000)
"""Frames of DATA that carry a part of a message, and less than 64 octets of it: tiny messages come whole. A sender with
a window that opens in small steps sends some."""

SMALL_PART = 64
"""What counts as a small part."""

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
"""Of so many streams it is remembered whether this side reset them, so that their late frames are ignored: as many as
are likely to have something on its way."""
