"""TLS read with its key log: handshakes of Python's own ssl, in memory."""

from __future__ import annotations

import contextlib
import ssl
from dataclasses import replace
from pathlib import Path

import pytest
import trustme
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from tests.trace.conversations import assert_every_octet_is_explained
from tests.trace.test_explainer import whole_conversation

from puregrpc.trace import Chunk, Direction, Recording, explain
from puregrpc.trace.reading import read_recordings, tls
from puregrpc.trace.reading.tls import decrypt, is_tls
from puregrpc.trace.reading.tls_suites import expand_label
from puregrpc.trace.showing.pcapng import write_pcapng

CLIENT, SERVER = Direction.CLIENT, Direction.SERVER
VERSIONS = {
    "TLS 1.3": (ssl.TLSVersion.TLSv1_3, None),
    "TLS 1.2, AES-128-GCM": (ssl.TLSVersion.TLSv1_2, "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256"),
    "TLS 1.2, AES-256-GCM": (ssl.TLSVersion.TLSv1_2, "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384"),
    "TLS 1.2, AES-128-CCM": (ssl.TLSVersion.TLSv1_2, "ECDHE-ECDSA-AES128-CCM:@SECLEVEL=0"),
    "TLS 1.2, AES-256-CCM-8": (ssl.TLSVersion.TLSv1_2, "ECDHE-ECDSA-AES256-CCM8:@SECLEVEL=0"),
    "TLS 1.2, AES-128-CBC": (ssl.TLSVersion.TLSv1_2, "ECDHE-ECDSA-AES128-SHA:@SECLEVEL=0"),
    "TLS 1.2, AES-256-CBC": (ssl.TLSVersion.TLSv1_2, "ECDHE-ECDSA-AES256-SHA384:@SECLEVEL=0"),
    "TLS 1.2, ChaCha20": (ssl.TLSVersion.TLSv1_2, "ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305"),
}


class Tls:
    """A client and a server of ssl that exchange records through memory, which are recorded."""

    def __init__(self, version: ssl.TLSVersion, ciphers: str | None, key_log: Path, options: int = 0) -> None:
        authority = trustme.CA()
        server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("localhost").configure_cert(server)
        client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        authority.configure_trust(client)
        client.keylog_filename = str(key_log)
        for context in (client, server):
            context.minimum_version = context.maximum_version = version
            if ciphers is not None:
                context.set_ciphers(ciphers)
            context.set_alpn_protocols(["h2"])
            context.options |= options
        self.chunks: list[Chunk] = []
        self.into = {CLIENT: ssl.MemoryBIO(), SERVER: ssl.MemoryBIO()}
        self.out = {CLIENT: ssl.MemoryBIO(), SERVER: ssl.MemoryBIO()}
        self.ends = {
            CLIENT: client.wrap_bio(self.into[CLIENT], self.out[CLIENT], server_hostname="localhost"),
            SERVER: server.wrap_bio(self.into[SERVER], self.out[SERVER], server_side=True),
        }
        for _ in range(4):
            for side in Direction:
                with contextlib.suppress(ssl.SSLWantReadError):
                    self.ends[side].do_handshake()
                self.move(side, 0.0)

    def move(self, side: Direction, time: float) -> None:
        data = self.out[side].read()
        if data:
            self.into[side.other].write(data)
            self.chunks.append(Chunk(time, side, data))

    def send(self, side: Direction, data: bytes, time: float) -> None:
        self.ends[side].write(data)
        self.move(side, time)
        assert self.ends[side.other].read(1 << 16) == data


def conversation(version: str, key_log: Path) -> Recording:
    tls = Tls(*VERSIONS[version], key_log)
    for chunk in whole_conversation().chunks:
        tls.send(chunk.direction, chunk.data, chunk.time)
    return Recording(tuple(tls.chunks))


@pytest.mark.parametrize("version", VERSIONS)
def test_what_was_encrypted_is_explained(version: str, tmp_path: Path) -> None:
    encrypted = conversation(version, tmp_path / "keys")
    assert is_tls(encrypted)
    read = decrypt(encrypted, (tmp_path / "keys").read_text())
    assert [chunk.data for chunk in read.chunks] == [chunk.data for chunk in whole_conversation().chunks]
    assert read.notes[0].startswith(f"decrypted: {version[:7]}")
    assert_every_octet_is_explained(explain(read))
    (again,) = read_recordings(write_pcapng(read))
    assert [chunk.data for chunk in again.chunks] == [chunk.data for chunk in read.chunks], "its key log is in the file"


@pytest.mark.parametrize("version", [version for version in VERSIONS if "CBC" in version])
def test_cbc_where_the_code_is_encrypted_too(version: str, tmp_path: Path) -> None:
    """As it was before RFC 7366."""
    no_encrypt_then_mac = 0x80000
    made = Tls(*VERSIONS[version], tmp_path / "keys", no_encrypt_then_mac)
    for chunk in whole_conversation().chunks:
        made.send(chunk.direction, chunk.data, chunk.time)
    read = decrypt(Recording(tuple(made.chunks)), (tmp_path / "keys").read_text())
    assert [chunk.data for chunk in read.chunks] == [chunk.data for chunk in whole_conversation().chunks]


def test_without_keys_it_says_so(tmp_path: Path) -> None:
    encrypted = conversation("TLS 1.3", tmp_path / "keys")
    read = decrypt(encrypted, "")
    assert read.notes == ("TLS is not decrypted: there is no key log (SSLKEYLOGFILE)",)
    assert_every_octet_is_explained(explain(read))
    other = decrypt(encrypted, f"CLIENT_RANDOM {bytes(32).hex()} {bytes(48).hex()}")
    assert "the key log has no CLIENT_HANDSHAKE_TRAFFIC_SECRET" in other.notes[0]
    wrong = "".join(
        f"{line.rsplit(' ', 1)[0]} {bytes(48).hex()}\n" for line in (tmp_path / "keys").read_text().splitlines()[1:]
    )
    assert "does not fit the keys of the key log" in decrypt(encrypted, wrong).notes[0]


def without(recording: Recording, direction: Direction, start: int, end: int, *, told: bool = True) -> Recording:
    """The recording without some octets of one direction."""
    chunks = []
    place = lost = 0
    for chunk in recording.chunks:
        if chunk.direction is not direction:
            chunks.append(chunk)
            continue
        kept = b"".join(chunk.data[at : at + 1] for at in range(len(chunk.data)) if not start <= place + at < end)
        place += len(chunk.data)
        head = max(0, min(start - place + len(chunk.data), len(chunk.data)))
        if len(kept) == len(chunk.data):
            chunks.append(Chunk(chunk.time, direction, kept, lost if told or not lost else None))
            lost = 0
            continue
        if head:
            chunks.append(Chunk(chunk.time, direction, kept[:head], 0))
        lost += len(chunk.data) - len(kept)
        if kept[head:]:
            chunks.append(Chunk(chunk.time, direction, kept[head:], lost if told else None))
            lost = 0
    return Recording(tuple(chunks))


@pytest.mark.parametrize("direction", Direction)
@pytest.mark.parametrize("version", VERSIONS)
def test_what_lies_behind_a_hole_is_decrypted(version: str, direction: Direction, tmp_path: Path) -> None:
    encrypted = conversation(version, tmp_path / "keys")
    keys = (tmp_path / "keys").read_text()
    whole = decrypt(encrypted, keys)
    sent = [chunk.data for chunk in whole.chunks if chunk.direction is direction]
    size = len(encrypted.octets(direction))
    data = sum(len(chunk.data) for chunk in encrypted.chunks[-len(whole.chunks) :] if chunk.direction is direction)
    for start, length in [(size - data + at, length) for at in (0, 3, 30, 41) for length in (1, 20, 90)]:
        for told in (True, False):
            read = decrypt(without(encrypted, direction, start, start + length, told=told), keys)
            found = [chunk for chunk in read.chunks if chunk.direction is direction]
            hole = next(place for place, chunk in enumerate(found) if chunk.lost is None)
            lost = len(sent) - len(found)
            assert 1 <= lost <= 4
            assert [chunk.data for chunk in found] == sent[:hole] + sent[hole + lost :]
            assert [chunk.lost for chunk in found].count(None) == 1
            assert [c for c in read.chunks if c.direction is not direction] == [
                c for c in whole.chunks if c.direction is not direction
            ]
            assert any("records of TLS that the" in note for note in read.notes)
            assert_every_octet_is_explained(explain(read))


def test_a_hole_in_the_handshake(tmp_path: Path) -> None:
    encrypted = conversation("TLS 1.3", tmp_path / "keys")
    first = next(chunk for chunk in encrypted.chunks if chunk.direction is SERVER)
    hello = 5 + int.from_bytes(first.data[3:5], "big")
    read = decrypt(without(encrypted, SERVER, hello + 50, hello + 200), (tmp_path / "keys").read_text())
    assert read.octets(SERVER) == whole_conversation().octets(SERVER)
    read = decrypt(without(encrypted, SERVER, 20, 60), (tmp_path / "keys").read_text())
    assert read.notes == ("TLS is not decrypted: the handshake is not in the recording",)


def test_nothing_to_go_on_with_behind_a_hole(tmp_path: Path) -> None:
    encrypted = conversation("TLS 1.3", tmp_path / "keys")
    chunks = list(encrypted.chunks)
    last = next(place for place in range(len(chunks) - 1, 0, -1) if chunks[place].direction is CLIENT)
    chunks[last] = Chunk(chunks[last].time, CLIENT, chunks[last].data[3:], 3)
    fakes = b"".join(b"\x17\x03\x03\x00\x20" + bytes([at]) * 32 for at in range(200))
    chunks.append(Chunk(9.0, CLIENT, fakes, None))
    read = decrypt(Recording(tuple(chunks)), (tmp_path / "keys").read_text())
    assert "what the client sent later is not decrypted" in read.notes[-1]
    assert len(read.chunks) == len(whole_conversation().chunks) - 1


def test_broken_records(tmp_path: Path) -> None:
    encrypted = conversation("TLS 1.2, AES-128-GCM", tmp_path / "keys")
    keys = (tmp_path / "keys").read_text()
    for place, chunk in enumerate(encrypted.chunks):
        for at in range(place % 5, len(chunk.data), 5 if place < 2 else 29):
            data = bytearray(chunk.data)
            data[at] ^= 0xFF
            chunks = [*encrypted.chunks]
            chunks[place] = Chunk(chunk.time, chunk.direction, bytes(data))
            explain(decrypt(Recording(tuple(chunks)), keys))


EARLY_SECRET = bytes(range(48))


def with_early_data(recording: Recording, *records: bytes, offers: bool = True) -> Recording:
    """The recording with records of the client behind its hello, which says (``offers``) that they may be there."""
    first, *rest = recording.chunks
    hello = bytearray(first.data)
    if offers:
        length = int.from_bytes(hello[3:5], "big")
        assert len(hello) == 5 + length
        place = 9 + 34
        place += 1 + hello[place]
        place += 2 + int.from_bytes(hello[place : place + 2], "big")
        place += 1 + hello[place]
        for at, size in ((3, 2), (6, 3), (place, 2)):  # of the record, the message, the extensions
            hello[at : at + size] = (int.from_bytes(hello[at : at + size], "big") + 4).to_bytes(size, "big")
        hello += bytes.fromhex("002a0000")
    early = tuple(Chunk(0.0, CLIENT, record) for record in records)
    return replace(recording, chunks=(replace(first, data=bytes(hello)), *early, *rest))


def sealed(number: int, kind: int, data: bytes, algorithm: str = "sha384") -> bytes:
    """A record of early data in AES-256-GCM."""
    key = expand_label(EARLY_SECRET, b"key", 32, algorithm)
    iv = expand_label(EARLY_SECRET, b"iv", 12, algorithm)
    head = b"\x17\x03\x03" + (len(data) + 17).to_bytes(2, "big")
    nonce = bytes(a ^ b for a, b in zip(iv, number.to_bytes(12, "big"), strict=True))
    return head + AESGCM(key).encrypt(nonce, data + bytes([kind]), head)


def early_log(keys: Path) -> str:
    lines = keys.read_text()
    random = lines.splitlines()[-1].split()[1]
    return f"{lines}CLIENT_EARLY_TRAFFIC_SECRET {random} {EARLY_SECRET.hex()}\n"


def test_early_data_is_decrypted(tmp_path: Path) -> None:
    encrypted = conversation("TLS 1.3", tmp_path / "keys")
    end = b"\x05\0\0\0"
    records = [sealed(0, 23, b"early"), sealed(1, 23, b" data"), sealed(2, 22, end)]
    read = decrypt(with_early_data(encrypted, *records), early_log(tmp_path / "keys"))
    assert [chunk.data for chunk in read.chunks] == [b"early", b" data", *(c.data for c in whole_conversation().chunks)]
    assert not any("early" in note for note in read.notes)


@pytest.mark.parametrize("has_key", [True, False])
def test_early_data_that_is_refused_or_has_no_key_costs_nothing_else(has_key: bool, tmp_path: Path) -> None:
    encrypted = conversation("TLS 1.3", tmp_path / "keys")
    log = early_log(tmp_path / "keys") if has_key else (tmp_path / "keys").read_text()
    records = [b"\x17\x03\x03\0\x20" + bytes(32)] * 3
    read = decrypt(with_early_data(encrypted, *records), log)
    assert [chunk.data for chunk in read.chunks] == [c.data for c in whole_conversation().chunks]
    assert any(note.startswith("early data is not decrypted") for note in read.notes)
    assert_every_octet_is_explained(explain(read))


def test_early_data_that_comes_after_the_hello_of_the_server(tmp_path: Path) -> None:
    encrypted = conversation("TLS 1.3", tmp_path / "keys")
    late = with_early_data(encrypted)
    place = next(n for n, chunk in enumerate(late.chunks) if chunk.direction is SERVER) + 1
    records = tuple(Chunk(0.0, CLIENT, record) for record in (sealed(0, 23, b"early"), sealed(1, 22, b"\x05\0\0\0")))
    read = decrypt(
        replace(late, chunks=(*late.chunks[:place], *records, *late.chunks[place:])), early_log(tmp_path / "keys")
    )
    assert read.octets(CLIENT) == b"early" + whole_conversation().octets(CLIENT)


def test_a_hello_in_any_state_offers_early_data_or_does_not() -> None:
    hello = bytes.fromhex("0303") + bytes(32) + b"\0" + bytes.fromhex("0002130101000004002a0000")
    assert tls._extensions(hello) == {42}
    for size in range(len(hello)):
        assert tls._extensions(hello[:size]) <= {42}
