"""PEM (RFC 7468) as OpenSSL takes it: what stands outside the blocks is no matter, nor what it is written in."""

from __future__ import annotations

import re
from base64 import b64decode
from binascii import Error as Base64Error
from dataclasses import dataclass

from puregrpc.transport.der import elements, items

__all__ = ["CLIENT_AUTH", "SERVER_AUTH", "Block", "blocks"]

BEGIN = re.compile(rb"^-----BEGIN ", re.MULTILINE)
BLOCK = re.compile(rb"^-----BEGIN ([^\r\n]+?)-----[ \t\r]*$(.*?)^-----END \1-----", re.DOTALL | re.MULTILINE)

CERTIFICATES = ("CERTIFICATE", "X509 CERTIFICATE", "TRUSTED CERTIFICATE")

SERVER_AUTH = bytes.fromhex("2b06010505070301")
"""The object identifier of the extended key usage serverAuth (RFC 5280, section 4.2.1.12)."""
CLIENT_AUTH = bytes.fromhex("2b06010505070302")
ANY_USAGE = bytes.fromhex("551d2500")

TRUSTED, REJECTED = 0x30, 0xA0
"""The tags of the lists of usages: SEQUENCE, and [0]."""


@dataclass(frozen=True, slots=True)
class Block:
    """What stands between two markers, and the label on them."""

    label: str
    pem: bytes
    """With the markers."""
    content: bytes
    """Without them."""

    @property
    def is_certificate(self) -> bool:
        return self.label in CERTIFICATES

    @property
    def is_key(self) -> bool:
        """It is a private key in one of the forms that OpenSSL takes."""
        return self.label.endswith("PRIVATE KEY") and self.label != "OPENSSH PRIVATE KEY"

    def der(self) -> bytes:
        """The certificate, without the uses that a TRUSTED CERTIFICATE names. Raises ValueError."""
        return self._parts()[0]

    def is_trusted_for(self, usage: bytes) -> bool:
        """Whether a certificate may be a root for a usage. A TRUSTED CERTIFICATE names those that it is for, or not for
        (openssl-x509(1), "Trust options"). Raises ValueError.
        """
        trust = self._parts()[1]
        lists = ((tag, content) for tag, content in items(trust) if tag in (TRUSTED, REJECTED))
        uses = {tag: {identifier for _, identifier in items(content)} for tag, content in lists}
        wanted = {usage, ANY_USAGE}
        return not wanted & uses.get(REJECTED, set()) and (TRUSTED not in uses or bool(wanted & uses[TRUSTED]))

    def _parts(self) -> tuple[bytes, bytes]:
        """The certificate, and the content of what stands behind it in a TRUSTED CERTIFICATE (X509_CERT_AUX)."""
        try:
            data = b64decode(b"".join(self.content.split()), validate=True)
        except Base64Error as error:
            raise ValueError(f"it is not base64: {error}") from None
        if self.label != "TRUSTED CERTIFICATE":
            return data, b""
        end = next((end for _, _, end in elements(data)), 0)
        return data[:end], next((content for _, content in items(data[end:])), b"")


def blocks(pem: bytes) -> list[Block]:
    """The blocks of a text, in order. Raises ValueError if one has no end."""
    found = [Block(each[1].decode("latin-1"), each[0], each[2]) for each in BLOCK.finditer(pem)]
    if len(found) != len(BEGIN.findall(pem)):
        raise ValueError("there is a BEGIN line without its END line")
    return found
