"""TLS decrypted with a key log (SSLKEYLOGFILE, draft-ietf-tls-keylogfile): TLS 1.3 and the AEAD suites of TLS 1.2.

The ciphers come from the cryptography package, an extra (``puregrpc[trace]``); without it, or without the keys, the
recording stays encrypted and a note says why.
"""

from __future__ import annotations

import hashlib
import hmac
import struct
from dataclasses import dataclass, field, replace
from typing import Protocol

from puregrpc.trace.recording import Chunk, Direction, Recording

__all__ = ["decrypt", "is_tls"]

HANDSHAKE, ALERT, CHANGE_CIPHER_SPEC, APPLICATION_DATA = 22, 21, 20, 23
CLIENT_HELLO, SERVER_HELLO, END_OF_EARLY_DATA, FINISHED, KEY_UPDATE = 1, 2, 5, 20, 24
EARLY_DATA, SUPPORTED_VERSIONS = 42, 43
TLS_1_2, TLS_1_3 = 0x0303, 0x0304
SMALLEST_RECORD = 5 + 8
"""The head of a record and the shortest tag of a cipher (RFC 8446, section 5.2; RFC 6655)."""

MAX_RECORD = (1 << 14) + 2048
MAX_EARLY = 1024
"""So many records of early data wait for the server's hello."""
MAX_TRIES = 100_000
"""So often a record behind a hole is tried with another number: half a second or so for records of 16 KiB."""


@dataclass(frozen=True, slots=True)
class _Suite:
    name: str
    key: int
    hash: str
    kind: str = "GCM"
    tag: int = 16

    @property
    def is_chacha(self) -> bool:
        """Whether nonces are made as RFC 7905 says, and not as RFC 5288 does."""
        return self.kind == "CHACHA20"


def _suites() -> dict[int, _Suite]:
    """The AEAD suites, by number (https://www.iana.org/assignments/tls-parameters)."""
    made = {
        0x1301: _Suite("TLS_AES_128_GCM_SHA256", 16, "sha256"),
        0x1302: _Suite("TLS_AES_256_GCM_SHA384", 32, "sha384"),
        0x1303: _Suite("TLS_CHACHA20_POLY1305_SHA256", 32, "sha256", "CHACHA20"),
        0x1304: _Suite("TLS_AES_128_CCM_SHA256", 16, "sha256", "CCM"),
        0x1305: _Suite("TLS_AES_128_CCM_8_SHA256", 16, "sha256", "CCM", 8),
        0xD001: _Suite("TLS_ECDHE_PSK_WITH_AES_128_GCM_SHA256", 16, "sha256"),
        0xD002: _Suite("TLS_ECDHE_PSK_WITH_AES_256_GCM_SHA384", 32, "sha384"),
        0xD003: _Suite("TLS_ECDHE_PSK_WITH_AES_128_CCM_8_SHA256", 16, "sha256", "CCM", 8),
        0xD005: _Suite("TLS_ECDHE_PSK_WITH_AES_128_CCM_SHA256", 16, "sha256", "CCM"),
    }
    gcm = {
        0x009C: "RSA", 0x009E: "DHE_RSA", 0x00A8: "PSK", 0x00AA: "DHE_PSK", 0x00AC: "RSA_PSK",
        0xC02B: "ECDHE_ECDSA", 0xC02F: "ECDHE_RSA",
    }  # fmt: skip
    for number, exchange in gcm.items():
        made[number] = _Suite(f"TLS_{exchange}_WITH_AES_128_GCM_SHA256", 16, "sha256")
        made[number + 1] = _Suite(f"TLS_{exchange}_WITH_AES_256_GCM_SHA384", 32, "sha384")
    chacha = ("ECDHE_RSA", "ECDHE_ECDSA", "DHE_RSA", "PSK", "ECDHE_PSK", "DHE_PSK", "RSA_PSK")
    for number, exchange in enumerate(chacha, 0xCCA8):
        made[number] = _Suite(f"TLS_{exchange}_WITH_CHACHA20_POLY1305_SHA256", 32, "sha256", "CHACHA20")
    ccm = {0xC09C: ("RSA", "DHE_RSA"), 0xC0A4: ("PSK", "DHE_PSK"), 0xC0AC: ("ECDHE_ECDSA",)}
    for first, exchanges in ccm.items():
        for place, exchange in enumerate(exchanges):
            for size in (128, 256):
                number = first + 2 * place + (size == 256)
                # For each pair the suites with a tag of 8 octets follow those with one of 16 (RFC 6655, RFC 7251).
                made[number] = _Suite(f"TLS_{exchange}_WITH_AES_{size}_CCM", size // 8, "sha256", "CCM")
                short = number + 2 * len(exchanges)
                made[short] = _Suite(f"TLS_{exchange}_WITH_AES_{size}_CCM_8", size // 8, "sha256", "CCM", 8)
    return made


SUITES = _suites()


class _Cipher(Protocol):
    def decrypt(self, nonce: bytes, data: bytes, associated_data: bytes | None, /) -> bytes: ...


class _Undecryptable(Exception):  # noqa: N818 - control flow inside this module
    """``args[0]`` says why the rest of a direction cannot be decrypted."""


def is_tls(recording: Recording) -> bool:
    """Whether the octets begin as TLS records do."""
    first = recording.octets(Direction.CLIENT)[:3] or recording.octets(Direction.SERVER)[:3]
    return len(first) == 3 and 20 <= first[0] <= 23 and first[1] == 3 and first[2] <= 4


def decrypt(recording: Recording, key_log: str) -> Recording:
    """The recording without TLS, as far as the key log allows; otherwise as it is, with a note that says why."""
    try:
        return _Session(key_log).read(recording)
    except _Undecryptable as reason:
        return replace(recording, notes=(*recording.notes, f"TLS is not decrypted: {reason}"))


def _secrets(key_log: str) -> dict[tuple[str, bytes], bytes]:
    found = {}
    for line in key_log.splitlines():
        words = line.split()
        if len(words) == 3 and not line.startswith("#"):
            try:
                found[words[0], bytes.fromhex(words[1])] = bytes.fromhex(words[2])
            except ValueError:
                continue
    return found


@dataclass(slots=True)
class _Keys:
    """What one direction is encrypted with: a cipher, its nonces, and the secret that the next keys come from."""

    cipher: _Cipher
    iv: bytes
    secret: bytes = b""
    sequence: int = 0
    explicit: bool = False
    """TLS 1.2 with AES: 8 octets of the nonce stand in the record (RFC 5288, RFC 6655)."""


@dataclass(slots=True)
class _Side:
    direction: Direction
    buffer: bytearray = field(default_factory=bytearray)
    keys: _Keys | None = None
    handshake: bytearray = field(default_factory=bytearray)
    broken: str = ""
    encrypted: bool = False
    established: bool = False
    """TLS 1.3: the keys are those of application data."""
    hidden: int = 0
    """After a hole: at most so many records were lost in it; 0 where the place in the stream of records is known."""
    searched: int = 0
    gap: bool = False
    """Something was lost before the next octets that can be decrypted."""
    early: list[tuple[float, bytes, bytes]] | None = None
    """TLS 1.3: records that came before the suite is known: data that the client did not wait with (section 2.3)."""
    early_keys: _Keys | None = None
    skips_early: bool = False
    """Early data may be there that the server refuses, or that the key log has no key for."""


class _Session:
    def __init__(self, key_log: str) -> None:
        self.secrets = _secrets(key_log)
        self.sides = {direction: _Side(direction) for direction in Direction}
        self.client_random = b""
        self.server_random = b""
        self.suite: _Suite | None = None
        self.version = 0
        self.chunks: list[Chunk] = []
        self.notes: list[str] = []
        self.tries = MAX_TRIES

    def read(self, recording: Recording) -> Recording:
        if not self.secrets:
            raise _Undecryptable("there is no key log (SSLKEYLOGFILE)")
        for chunk in recording.chunks:
            side = self.sides[chunk.direction]
            if side.broken:
                continue
            try:
                if chunk.lost != 0:
                    self._lose(side, chunk.lost)
                    if side.broken:
                        continue
                side.buffer += chunk.data
                if side.hidden:
                    self._resume(side)
                self._records(side, chunk.time)
            except _Undecryptable as reason:
                if not self.chunks:
                    raise
                self._break(side, str(reason))
        if self.suite is None:
            raise _Undecryptable("the handshake is not in the recording")
        for side in self.sides.values():
            if side.hidden:
                self._break(side, "octets are missing, and with them the place in the stream of records")
        name = "TLS 1.3" if self.version == TLS_1_3 else "TLS 1.2"
        notes = (*recording.notes, f"decrypted: {name}, {self.suite.name}", *self.notes)
        lines = "".join(
            f"{label} {random.hex()} {secret.hex()}\n"
            for (label, random), secret in self.secrets.items()
            if random == self.client_random
        )
        return replace(recording, chunks=tuple(self.chunks), encrypted=recording.chunks, key_log=lines, notes=notes)

    def _break(self, side: _Side, why: str) -> None:
        if not side.broken:
            side.broken = why
            self.notes.append(f"what the {side.direction.value} sent later is not decrypted: {why}")

    # -- holes

    def _lose(self, side: _Side, lost: int | None) -> None:
        """Octets are missing: where records go on behind them has to be found."""
        if self.version == TLS_1_3 and not side.established:
            # What is left of the handshake fits no key then, and is passed over.
            self._establish(side)
        if side.keys is None:
            self._break(side, "octets of the handshake are missing")
            return
        # The hole may begin inside a record, and end inside one.
        most = MAX_TRIES if lost is None else (len(side.buffer) + lost) // SMALLEST_RECORD + 2
        side.hidden += min(most, MAX_TRIES)
        side.gap = True
        side.searched = 0
        side.buffer.clear()
        side.handshake.clear()

    def _resume(self, side: _Side) -> None:
        """Find the next record behind a hole and its number: those that the cipher's tag is right for, no others."""
        waiting: int | None = None
        for place in range(side.searched, len(side.buffer) - 4):
            kind, version, length = struct.unpack_from("!BHH", side.buffer, place)
            if not 20 <= kind <= 23 or version != TLS_1_2 or not SMALLEST_RECORD - 5 <= length <= MAX_RECORD:
                continue
            if place + 5 + length > len(side.buffer):
                waiting = place if waiting is None else waiting
            elif self._has_number(side, kind, bytes(side.buffer[place : place + 5 + length])):
                del side.buffer[:place]
                return
        side.searched = max(len(side.buffer) - 4, 0) if waiting is None else waiting

    def _has_number(self, side: _Side, kind: int, record: bytes) -> bool:
        """Whether it is a record with one of the numbers that may come next; that one is the next then."""
        keys = side.keys
        if keys is None:
            return False
        first = keys.sequence
        for number in range(first, first + side.hidden + 1):
            self.tries -= 1
            if self.tries < 0:
                raise _Undecryptable("too many holes to find the place in the stream of records again")
            keys.sequence = number
            try:
                if self.version == TLS_1_3:
                    self._open_1_3(side, record[:5], record[5:])
                else:
                    self._open_1_2(side, kind, record[:5], record[5:])
            except _Undecryptable:
                continue
            keys.sequence = number
            side.hidden = 0
            self.notes.append(f"{number - first} records of TLS that the {side.direction.value} sent are lost")
            return True
        keys.sequence = first
        return False

    # -- records

    def _records(self, side: _Side, time: float) -> None:
        while len(side.buffer) >= 5 and not side.hidden:
            kind, _, length = struct.unpack_from("!BHH", side.buffer)
            if not 20 <= kind <= 23 or length > MAX_RECORD:
                raise _Undecryptable(f"no TLS record: type {kind}, {length} octets")
            if len(side.buffer) < 5 + length:
                return
            head = bytes(side.buffer[:5])
            body = bytes(side.buffer[5 : 5 + length])
            del side.buffer[: 5 + length]
            self._record(side, time, kind, head, body)

    def _record(self, side: _Side, time: float, kind: int, head: bytes, body: bytes) -> None:
        if kind == CHANGE_CIPHER_SPEC:
            if self.version == TLS_1_2:
                side.keys = self._keys_of_tls_1_2(side.direction)
                side.encrypted = True
            return
        if not self.version and kind == APPLICATION_DATA and side.early is not None:
            if len(side.early) < MAX_EARLY:
                side.early.append((time, head, body))
            return
        if self.version == TLS_1_3 and kind == APPLICATION_DATA:
            opened = self._open_early(side, head, body) or self._open_or_skip(side, head, body)
            if opened is None:
                return
            kind, body = opened
        elif side.keys is not None and side.encrypted:
            body = self._open_1_2(side, kind, head, body)
        elif kind == APPLICATION_DATA:
            raise _Undecryptable("the handshake is not in the recording")
        if kind == HANDSHAKE:
            side.handshake += body
            self._handshake(side)
        elif kind == APPLICATION_DATA and body:
            self.chunks.append(Chunk(time, side.direction, body, None if side.gap else 0))
            side.gap = False

    def _open_early(self, side: _Side, head: bytes, body: bytes) -> tuple[int, bytes] | None:
        """A record of early data; None if it is none."""
        if side.early_keys is None:
            return None
        keys, side.keys = side.keys, side.early_keys
        try:
            return self._open_1_3(side, head, body)
        except _Undecryptable:
            side.early_keys = None  # refused: the server passes it over, until what comes fits the next keys
            return None
        finally:
            side.keys = keys

    def _open_or_skip(self, side: _Side, head: bytes, body: bytes) -> tuple[int, bytes] | None:
        """A record; None for early data that is passed over, as the server does (RFC 8446, section 4.2.10)."""
        try:
            opened = self._open_1_3(side, head, body)
        except _Undecryptable:
            if not side.skips_early:
                raise
            self._note_early()
            return None
        side.skips_early = False
        return opened

    def _note_early(self) -> None:
        note = "early data is not decrypted: the server refused it, or the key log has no CLIENT_EARLY_TRAFFIC_SECRET"
        if note not in self.notes:
            self.notes.append(note)

    def _begin_early(self, client: _Side) -> None:
        """The suite is known: what the client sent without waiting can be decrypted now."""
        if client.early is None:
            return
        waiting, client.early = client.early, None
        client.skips_early = True
        secret = self.secrets.get(("CLIENT_EARLY_TRAFFIC_SECRET", self.client_random))
        if secret is not None:
            client.early_keys = self._keys_of_tls_1_3(secret)
        for time, head, body in waiting:
            opened = self._open_early(client, head, body)
            if opened is None:
                self._note_early()
            elif opened[0] == APPLICATION_DATA and opened[1]:
                self.chunks.append(Chunk(time, client.direction, opened[1]))
            elif opened[0] == HANDSHAKE:
                client.handshake += opened[1]
                self._handshake(client)

    # -- the handshake

    def _handshake(self, side: _Side) -> None:
        while len(side.handshake) >= 4:
            length = int.from_bytes(side.handshake[1:4], "big")
            if len(side.handshake) < 4 + length:
                return
            kind = side.handshake[0]
            body = bytes(side.handshake[4 : 4 + length])
            del side.handshake[: 4 + length]
            if kind == CLIENT_HELLO and len(body) >= 34:
                self.client_random = body[2:34]
                side.early = [] if EARLY_DATA in _extensions(body) else None
            elif kind == SERVER_HELLO and len(body) >= 35:
                self._server_hello(body)
            elif kind == END_OF_EARLY_DATA:
                side.early_keys = None
            elif kind == FINISHED and self.version == TLS_1_3:
                self._establish(side)
            elif kind == KEY_UPDATE and side.keys is not None:
                algorithm = self._suite().hash
                size = hashlib.new(algorithm).digest_size
                side.keys = self._keys_of_tls_1_3(_expand_label(side.keys.secret, b"traffic upd", size, algorithm))

    def _establish(self, side: _Side) -> None:
        """The handshake is over: from here on the keys of application data (RFC 8446, section 7.1)."""
        side.keys = self._keys_of_tls_1_3(self._secret(f"{side.direction.name}_TRAFFIC_SECRET_0"))
        side.established = True

    def _server_hello(self, body: bytes) -> None:
        self.server_random = body[2:34]
        session = body[34]
        place = 35 + session
        if len(body) < place + 3:
            raise _Undecryptable("the server's hello is cut")
        (number,) = struct.unpack_from("!H", body, place)
        suite = SUITES.get(number)
        if suite is None:
            raise _Undecryptable(f"cipher suite 0x{number:04x} is not an AEAD suite that is known")
        self.suite = suite
        self.version = TLS_1_2
        place += 5
        while place + 4 <= len(body):
            kind, size = struct.unpack_from("!HH", body, place)
            if kind == SUPPORTED_VERSIONS and size == 2:
                (self.version,) = struct.unpack_from("!H", body.ljust(place + 6, b"\0"), place + 4)
            place += 4 + size
        # RFC 8446, section 4.1.3: this random marks a request to begin again, and no keys come of it.
        again = hashlib.sha256(b"HelloRetryRequest").digest()
        client = self.sides[Direction.CLIENT]
        if self.version == TLS_1_3 and self.server_random == again and client.early is not None:
            client.early, client.skips_early = None, True  # this refuses early data, too
            self._note_early()
        if self.version == TLS_1_3 and self.server_random != again:
            for direction, label in (
                (Direction.CLIENT, "CLIENT_HANDSHAKE_TRAFFIC_SECRET"),
                (Direction.SERVER, "SERVER_HANDSHAKE_TRAFFIC_SECRET"),
            ):
                self.sides[direction].keys = self._keys_of_tls_1_3(self._secret(label))
            self._begin_early(client)

    def _secret(self, label: str) -> bytes:
        secret = self.secrets.get((label, self.client_random))
        if secret is None:
            raise _Undecryptable(f"the key log has no {label} for this connection")
        return secret

    # -- keys

    def _suite(self) -> _Suite:
        if self.suite is None:
            raise _Undecryptable("the handshake is not in the recording")
        return self.suite

    def _cipher(self, key: bytes) -> _Cipher:
        try:
            from cryptography.hazmat.primitives.ciphers.aead import AESCCM, AESGCM, ChaCha20Poly1305
        except ImportError:
            raise _Undecryptable("that needs the cryptography package: pip install 'puregrpc[trace]'") from None
        suite = self._suite()
        if suite.kind == "CCM":
            return AESCCM(key, suite.tag)
        return ChaCha20Poly1305(key) if suite.is_chacha else AESGCM(key)

    def _keys_of_tls_1_3(self, secret: bytes) -> _Keys:
        """RFC 8446, section 7.3."""
        suite = self._suite()
        key = _expand_label(secret, b"key", suite.key, suite.hash)
        iv = _expand_label(secret, b"iv", 12, suite.hash)
        return _Keys(self._cipher(key), iv, secret)

    def _keys_of_tls_1_2(self, direction: Direction) -> _Keys:
        """RFC 5246, section 6.3; RFC 5288 and RFC 7905 for the nonces."""
        suite = self._suite()
        master = self._secret("CLIENT_RANDOM")
        iv_size = 12 if suite.is_chacha else 4
        seed = b"key expansion" + self.server_random + self.client_random
        block = _prf(master, seed, 2 * (suite.key + iv_size), suite.hash)
        offset = 0 if direction is Direction.CLIENT else 1
        key = block[offset * suite.key :][: suite.key]
        iv = block[2 * suite.key + offset * iv_size :][:iv_size]
        return _Keys(self._cipher(key), iv, explicit=not suite.is_chacha)

    # -- ciphers

    def _open_1_3(self, side: _Side, head: bytes, body: bytes) -> tuple[int, bytes]:
        """RFC 8446, section 5.2."""
        keys = side.keys
        if keys is None:
            raise _Undecryptable("encrypted before the handshake")
        plain = _open(keys, _xor(keys.iv, keys.sequence), body, head)
        plain = plain.rstrip(b"\0")
        if not plain:
            raise _Undecryptable("a record without a type")
        return plain[-1], plain[:-1]

    def _open_1_2(self, side: _Side, kind: int, head: bytes, body: bytes) -> bytes:
        """RFC 5246, section 6.2.3.3."""
        keys = side.keys
        if keys is None:
            raise _Undecryptable("encrypted before the handshake")
        if keys.explicit:
            nonce, body = keys.iv + body[:8], body[8:]
        else:
            nonce = _xor(keys.iv, keys.sequence)
        associated = (
            struct.pack("!QB", keys.sequence, kind)
            + head[1:3]
            + struct.pack("!H", max(len(body) - self._suite().tag, 0))
        )
        return _open(keys, nonce, body, associated)


def _open(keys: _Keys, nonce: bytes, body: bytes, associated: bytes) -> bytes:
    from cryptography.exceptions import InvalidTag

    try:
        plain = keys.cipher.decrypt(nonce, body, associated)
    except (InvalidTag, ValueError):
        raise _Undecryptable(f"record {keys.sequence} does not fit the keys of the key log") from None
    keys.sequence += 1
    return plain


def _extensions(hello: bytes) -> set[int]:
    """The types of the extensions of a client's hello (RFC 8446, section 4.1.2), as far as it is one."""
    found = set()
    try:
        place = 35 + hello[34]
        place += 2 + int.from_bytes(hello[place : place + 2], "big")
        place += 1 + hello[place] + 2
        while place + 4 <= len(hello):
            kind, size = struct.unpack_from("!HH", hello, place)
            found.add(kind)
            place += 4 + size
    except IndexError:
        pass
    return found


def _xor(iv: bytes, sequence: int) -> bytes:
    return bytes(a ^ b for a, b in zip(iv, sequence.to_bytes(len(iv), "big"), strict=True))


def _expand_label(secret: bytes, label: bytes, size: int, algorithm: str) -> bytes:
    """HKDF-Expand-Label with an empty context (RFC 8446, section 7.1; RFC 5869)."""
    full = b"tls13 " + label
    info = struct.pack("!HB", size, len(full)) + full + b"\0"
    out = block = b""
    counter = 1
    while len(out) < size:
        block = hmac.digest(secret, block + info + bytes([counter]), algorithm)
        out += block
        counter += 1
    return out[:size]


def _prf(secret: bytes, seed: bytes, size: int, algorithm: str) -> bytes:
    """The pseudorandom function of TLS 1.2 (RFC 5246, section 5)."""
    out = b""
    a = seed
    while len(out) < size:
        a = hmac.digest(secret, a, algorithm)
        out += hmac.digest(secret, a + seed, algorithm)
    return out[:size]
