"""TLS decrypted with a key log (SSLKEYLOGFILE, draft-ietf-tls-keylogfile): TLS 1.3, and TLS 1.2 with AES or ChaCha20.

The ciphers come from the cryptography package, an extra (``puregrpc[tls-captures]``); without it, or without the keys,
the recording stays encrypted and a note says why.
"""

from __future__ import annotations

import hashlib
import hmac
import struct
from dataclasses import dataclass, field, replace

from puregrpc.trace.reading.tls_suites import SUITES, Cipher, Suite, Undecryptable, cipher_of, expand_label, prf
from puregrpc.trace.recording import Chunk, Direction, Recording

__all__ = ["decrypt", "is_tls"]

HANDSHAKE, ALERT, CHANGE_CIPHER_SPEC, APPLICATION_DATA = 22, 21, 20, 23
CLIENT_HELLO, SERVER_HELLO, END_OF_EARLY_DATA, FINISHED, KEY_UPDATE = 1, 2, 5, 20, 24
ENCRYPT_THEN_MAC, EARLY_DATA, SUPPORTED_VERSIONS = 22, 42, 43
TLS_1_2, TLS_1_3 = 0x0303, 0x0304
SMALLEST_RECORD = 5 + 8
"""The head of a record and the shortest tag of a cipher (RFC 8446, section 5.2; RFC 6655)."""

MAX_RECORD = (1 << 14) + 2048
MAX_EARLY = 1024
"""So many records of early data wait for the server's hello."""
MAX_TRIES = 100_000
"""So often a record behind a hole is tried with another number: half a second or so for records of 16 KiB."""


def is_tls(recording: Recording) -> bool:
    """Whether the octets begin as TLS records do."""
    first = recording.octets(Direction.CLIENT)[:3] or recording.octets(Direction.SERVER)[:3]
    return len(first) == 3 and 20 <= first[0] <= 23 and first[1] == 3 and first[2] <= 4


def decrypt(recording: Recording, key_log: str) -> Recording:
    """The recording without TLS, as far as the key log allows; otherwise as it is, with a note that says why."""
    try:
        return _Session(key_log).read(recording)
    except Undecryptable as reason:
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

    cipher: Cipher
    iv: bytes
    secret: bytes = b""
    sequence: int = 0
    mac: bytes = b""
    """Of CBC: the key that messages are authenticated with."""
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
        self.suite: Suite | None = None
        self.version = 0
        self.encrypt_then_mac = False
        self.chunks: list[Chunk] = []
        self.notes: list[str] = []
        self.tries = MAX_TRIES

    def read(self, recording: Recording) -> Recording:
        if not self.secrets:
            raise Undecryptable("there is no key log (SSLKEYLOGFILE)")
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
            except Undecryptable as reason:
                if not self.chunks:
                    raise
                self._break(side, str(reason))
        if self.suite is None:
            raise Undecryptable("the handshake is not in the recording")
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
                raise Undecryptable("too many holes to find the place in the stream of records again")
            keys.sequence = number
            try:
                if self.version == TLS_1_3:
                    self._open_1_3(side, record[:5], record[5:])
                else:
                    self._open_1_2(side, kind, record[:5], record[5:])
            except Undecryptable:
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
                raise Undecryptable(f"no TLS record: type {kind}, {length} octets")
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
            raise Undecryptable("the handshake is not in the recording")
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
        except Undecryptable:
            side.early_keys = None  # refused: the server passes it over, until what comes fits the next keys
            return None
        finally:
            side.keys = keys

    def _open_or_skip(self, side: _Side, head: bytes, body: bytes) -> tuple[int, bytes] | None:
        """A record; None for early data that is passed over, as the server does (RFC 8446, section 4.2.10)."""
        try:
            opened = self._open_1_3(side, head, body)
        except Undecryptable:
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
                algorithm = self._suite_of_hello().hash
                size = hashlib.new(algorithm).digest_size
                side.keys = self._keys_of_tls_1_3(expand_label(side.keys.secret, b"traffic upd", size, algorithm))

    def _establish(self, side: _Side) -> None:
        """The handshake is over: from here on the keys of application data (RFC 8446, section 7.1)."""
        side.keys = self._keys_of_tls_1_3(self._secret(f"{side.direction.name}_TRAFFIC_SECRET_0"))
        side.established = True

    def _server_hello(self, body: bytes) -> None:
        self.server_random = body[2:34]
        session = body[34]
        place = 35 + session
        if len(body) < place + 3:
            raise Undecryptable("the server's hello is cut")
        (number,) = struct.unpack_from("!H", body, place)
        suite = SUITES.get(number)
        if suite is None:
            raise Undecryptable(f"cipher suite 0x{number:04x} is not a suite that is known")
        self.suite = suite
        self.version = TLS_1_2
        place += 5
        while place + 4 <= len(body):
            kind, size = struct.unpack_from("!HH", body, place)
            if kind == SUPPORTED_VERSIONS and size == 2:
                (self.version,) = struct.unpack_from("!H", body.ljust(place + 6, b"\0"), place + 4)
            if kind == ENCRYPT_THEN_MAC:
                self.encrypt_then_mac = True
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
            raise Undecryptable(f"the key log has no {label} for this connection")
        return secret

    # -- keys

    def _suite_of_hello(self) -> Suite:
        if self.suite is None:
            raise Undecryptable("the handshake is not in the recording")
        return self.suite

    def _keys_of_tls_1_3(self, secret: bytes) -> _Keys:
        """RFC 8446, section 7.3."""
        suite = self._suite_of_hello()
        key = expand_label(secret, b"key", suite.key, suite.hash)
        iv = expand_label(secret, b"iv", 12, suite.hash)
        return _Keys(cipher_of(suite, key), iv, secret)

    def _keys_of_tls_1_2(self, direction: Direction) -> _Keys:
        """RFC 5246, section 6.3; RFC 5288 and RFC 7905 for the nonces."""
        suite = self._suite_of_hello()
        master = self._secret("CLIENT_RANDOM")
        if suite.mac:
            return self._keys_of_cbc(master, direction)
        iv_size = 12 if suite.is_chacha else 4
        seed = b"key expansion" + self.server_random + self.client_random
        block = prf(master, seed, 2 * (suite.key + iv_size), suite.hash)
        offset = 0 if direction is Direction.CLIENT else 1
        key = block[offset * suite.key :][: suite.key]
        iv = block[2 * suite.key + offset * iv_size :][:iv_size]
        return _Keys(cipher_of(suite, key), iv, explicit=not suite.is_chacha)

    def _keys_of_cbc(self, master: bytes, direction: Direction) -> _Keys:
        suite = self._suite_of_hello()
        mac_size = hashlib.new(suite.mac).digest_size
        seed = b"key expansion" + self.server_random + self.client_random
        block = prf(master, seed, 2 * (mac_size + suite.key), suite.hash)
        offset = 0 if direction is Direction.CLIENT else 1
        key = block[2 * mac_size + offset * suite.key :][: suite.key]
        return _Keys(cipher_of(suite, key), b"", mac=block[offset * mac_size :][:mac_size])

    # -- ciphers

    def _open_1_3(self, side: _Side, head: bytes, body: bytes) -> tuple[int, bytes]:
        """RFC 8446, section 5.2."""
        keys = side.keys
        if keys is None:
            raise Undecryptable("encrypted before the handshake")
        plain = _open(keys, _xor(keys.iv, keys.sequence), body, head)
        plain = plain.rstrip(b"\0")
        if not plain:
            raise Undecryptable("a record without a type")
        return plain[-1], plain[:-1]

    def _open_cbc(self, keys: _Keys, kind: int, head: bytes, body: bytes) -> bytes:
        """RFC 5246, section 6.2.3.2; RFC 7366 where the code is of what was encrypted."""
        size = hashlib.new(self._suite_of_hello().mac).digest_size
        first = struct.pack("!QB", keys.sequence, kind) + head[1:3]
        wrong = Undecryptable(f"record {keys.sequence} does not fit the keys of the key log")
        mac = b""
        if self.encrypt_then_mac:
            body, mac = body[:-size], body[-size:]
            told = first + struct.pack("!H", len(body)) + body
        if len(body) < 32 or len(body) % 16:
            raise wrong
        plain = keys.cipher.decrypt(body[:16], body[16:], None)
        plain = plain[: -plain[-1] - 1]
        if not self.encrypt_then_mac:
            plain, mac = plain[:-size], plain[-size:]
            told = first + struct.pack("!H", len(plain)) + plain
        if not hmac.compare_digest(hmac.digest(keys.mac, told, self._suite_of_hello().mac), mac):
            raise wrong
        keys.sequence += 1
        return plain

    def _open_1_2(self, side: _Side, kind: int, head: bytes, body: bytes) -> bytes:
        """RFC 5246, section 6.2.3.3."""
        keys = side.keys
        if keys is None:
            raise Undecryptable("encrypted before the handshake")
        if keys.mac:
            return self._open_cbc(keys, kind, head, body)
        if keys.explicit:
            nonce, body = keys.iv + body[:8], body[8:]
        else:
            nonce = _xor(keys.iv, keys.sequence)
        associated = (
            struct.pack("!QB", keys.sequence, kind)
            + head[1:3]
            + struct.pack("!H", max(len(body) - self._suite_of_hello().tag, 0))
        )
        return _open(keys, nonce, body, associated)


def _open(keys: _Keys, nonce: bytes, body: bytes, associated: bytes) -> bytes:
    from cryptography.exceptions import InvalidTag

    try:
        plain = keys.cipher.decrypt(nonce, body, associated)
    except (InvalidTag, ValueError):
        raise Undecryptable(f"record {keys.sequence} does not fit the keys of the key log") from None
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
