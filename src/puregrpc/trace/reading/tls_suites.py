"""The cipher suites of TLS: what they are made of, their ciphers, and how keys are derived.

The ciphers come from the cryptography package, an extra (``puregrpc[tls-captures]``).
"""

from __future__ import annotations

import hmac
import struct
from dataclasses import dataclass
from typing import Protocol

__all__ = ["SUITES", "Cipher", "Suite", "Undecryptable", "cipher_of", "expand_label", "prf"]

NEEDS_CRYPTOGRAPHY = "that needs the cryptography package: pip install 'puregrpc[tls-captures]'"


class Undecryptable(Exception):  # noqa: N818 - control flow inside this module
    """``args[0]`` says why the rest of a direction cannot be decrypted."""


@dataclass(frozen=True, slots=True)
class Suite:
    """A suite: its cipher, the size of its keys in octets, and its hash."""

    name: str
    key: int
    hash: str
    kind: str = "GCM"
    tag: int = 16
    mac: str = ""
    """Of suites in CBC: the hash that messages are authenticated with."""

    @property
    def is_chacha(self) -> bool:
        """Whether nonces are made as RFC 7905 says, and not as RFC 5288 does."""
        return self.kind == "CHACHA20"


def _all_suites() -> dict[int, Suite]:
    """The AEAD suites, by number (https://www.iana.org/assignments/tls-parameters)."""
    made = {
        0x1301: Suite("TLS_AES_128_GCM_SHA256", 16, "sha256"),
        0x1302: Suite("TLS_AES_256_GCM_SHA384", 32, "sha384"),
        0x1303: Suite("TLS_CHACHA20_POLY1305_SHA256", 32, "sha256", "CHACHA20"),
        0x1304: Suite("TLS_AES_128_CCM_SHA256", 16, "sha256", "CCM"),
        0x1305: Suite("TLS_AES_128_CCM_8_SHA256", 16, "sha256", "CCM", 8),
        0xD001: Suite("TLS_ECDHE_PSK_WITH_AES_128_GCM_SHA256", 16, "sha256"),
        0xD002: Suite("TLS_ECDHE_PSK_WITH_AES_256_GCM_SHA384", 32, "sha384"),
        0xD003: Suite("TLS_ECDHE_PSK_WITH_AES_128_CCM_8_SHA256", 16, "sha256", "CCM", 8),
        0xD005: Suite("TLS_ECDHE_PSK_WITH_AES_128_CCM_SHA256", 16, "sha256", "CCM"),
    }
    gcm = {
        0x009C: "RSA", 0x009E: "DHE_RSA", 0x00A8: "PSK", 0x00AA: "DHE_PSK", 0x00AC: "RSA_PSK",
        0xC02B: "ECDHE_ECDSA", 0xC02F: "ECDHE_RSA",
    }  # fmt: skip
    for number, exchange in gcm.items():
        made[number] = Suite(f"TLS_{exchange}_WITH_AES_128_GCM_SHA256", 16, "sha256")
        made[number + 1] = Suite(f"TLS_{exchange}_WITH_AES_256_GCM_SHA384", 32, "sha384")
    chacha = ("ECDHE_RSA", "ECDHE_ECDSA", "DHE_RSA", "PSK", "ECDHE_PSK", "DHE_PSK", "RSA_PSK")
    for number, exchange in enumerate(chacha, 0xCCA8):
        made[number] = Suite(f"TLS_{exchange}_WITH_CHACHA20_POLY1305_SHA256", 32, "sha256", "CHACHA20")
    ccm = {0xC09C: ("RSA", "DHE_RSA"), 0xC0A4: ("PSK", "DHE_PSK"), 0xC0AC: ("ECDHE_ECDSA",)}
    for first, exchanges in ccm.items():
        for place, exchange in enumerate(exchanges):
            for size in (128, 256):
                number = first + 2 * place + (size == 256)
                # For each pair the suites with a tag of 8 octets follow those with one of 16 (RFC 6655, RFC 7251).
                made[number] = Suite(f"TLS_{exchange}_WITH_AES_{size}_CCM", size // 8, "sha256", "CCM")
                short = number + 2 * len(exchanges)
                made[short] = Suite(f"TLS_{exchange}_WITH_AES_{size}_CCM_8", size // 8, "sha256", "CCM", 8)
    cbc = {
        "RSA": (0x002F, 0x0035, 0x003C, 0x003D), "DHE_RSA": (0x0033, 0x0039, 0x0067, 0x006B),
        "ECDHE_ECDSA": (0xC009, 0xC00A, 0xC023, 0xC024), "ECDHE_RSA": (0xC013, 0xC014, 0xC027, 0xC028),
        "PSK": (0x008C, 0x008D, 0x00AE, 0x00AF), "DHE_PSK": (0x0090, 0x0091, 0x00B2, 0x00B3),
    }  # fmt: skip
    for exchange, numbers in cbc.items():
        # RFC 5246 has SHA-256 for both sizes of keys; RFC 5289 and RFC 5487 have SHA-384 for the larger.
        large = "sha256" if exchange in ("RSA", "DHE_RSA") else "sha384"
        for number, size, mac in zip(numbers, (16, 32, 16, 32), ("sha1", "sha1", "sha256", large), strict=True):
            name = f"TLS_{exchange}_WITH_AES_{size * 8}_CBC_{mac.upper().replace('SHA1', 'SHA')}"
            made[number] = Suite(name, size, "sha384" if mac == "sha384" else "sha256", "CBC", 0, mac)
    return made


SUITES = _all_suites()


class Cipher(Protocol):
    """What decrypts; it raises InvalidTag or ValueError for what does not fit."""

    def decrypt(self, nonce: bytes, data: bytes, associated_data: bytes | None, /) -> bytes: ...


def cipher_of(suite: Suite, key: bytes) -> Cipher:
    """The cipher of a suite with a key. Raises Undecryptable without the cryptography package."""
    try:
        from cryptography.hazmat.primitives.ciphers.aead import AESCCM, AESGCM, ChaCha20Poly1305
    except ImportError:
        raise Undecryptable(NEEDS_CRYPTOGRAPHY) from None
    if suite.kind == "CBC":
        return _Cbc(key)
    if suite.kind == "CCM":
        return AESCCM(key, suite.tag)
    return ChaCha20Poly1305(key) if suite.is_chacha else AESGCM(key)


class _Cbc:
    """AES in CBC; what it decrypts is not known to be right by itself."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def decrypt(self, nonce: bytes, data: bytes, _associated_data: bytes | None, /) -> bytes:
        from cryptography.hazmat.primitives.ciphers import Cipher as Whole
        from cryptography.hazmat.primitives.ciphers import algorithms, modes

        decryptor = Whole(algorithms.AES(self._key), modes.CBC(nonce)).decryptor()
        return bytes(decryptor.update(data) + decryptor.finalize())


def expand_label(secret: bytes, label: bytes, size: int, algorithm: str) -> bytes:
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


def prf(secret: bytes, seed: bytes, size: int, algorithm: str) -> bytes:
    """The pseudorandom function of TLS 1.2 (RFC 5246, section 5)."""
    out = b""
    a = seed
    while len(out) < size:
        a = hmac.digest(secret, a, algorithm)
        out += hmac.digest(secret, a + seed, algorithm)
    return out[:size]
