"""Certificates as data (RFC 5280): whom they are about; and how a connection is secured."""

from __future__ import annotations

import ipaddress
from base64 import encodebytes
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from puregrpc.transport.der import items

if TYPE_CHECKING:
    from puregrpc.kernel.network.tls import TlsLayer

__all__ = ["Certificate", "ConnectionSecurity", "read_certificate", "security_of"]

SEQUENCE, SET, OBJECT_IDENTIFIER, OCTET_STRING = 0x30, 0x31, 0x06, 0x04
VERSION, EXTENSIONS = 0xA0, 0xA3

SUBJECT_ALT_NAME = bytes.fromhex("551d11")

ATTRIBUTES = {
    bytes.fromhex("550403"): "CN",
    bytes.fromhex("550406"): "C",
    bytes.fromhex("550407"): "L",
    bytes.fromhex("550408"): "ST",
    bytes.fromhex("55040a"): "O",
    bytes.fromhex("55040b"): "OU",
    bytes.fromhex("550405"): "serialNumber",
    bytes.fromhex("2a864886f70d010901"): "emailAddress",
    bytes.fromhex("0992268993f22c640119"): "DC",
    bytes.fromhex("0992268993f22c640101"): "UID",
}
"""The short names of the types that subjects have (RFC 4514, section 3)."""

ENCODINGS = {0x0C: "utf-8", 0x1E: "utf-16-be", 0x1C: "utf-32-be"}
"""Of the types of text; the others are taken as latin-1."""

EMAIL, DNS, URI, IP = 0x81, 0x82, 0x86, 0x87
"""The tags of general names (RFC 5280, section 4.2.1.6)."""


@dataclass(frozen=True, slots=True)
class Certificate:
    """An X.509 certificate, as far as it says whom it is about. What cannot be read of it is left out."""

    der: bytes
    subject: tuple[tuple[str, str], ...] = ()
    """Type and value of each part, in the certificate's order: ``("CN", "example.org")``."""
    names: tuple[tuple[str, str], ...] = ()
    """The subject alternative names in order: ``("dns", "example.org")``; kinds are dns, uri, email and ip."""

    @property
    def common_name(self) -> str | None:
        """The subject's common name; the last, if there are several."""
        return next((value for kind, value in reversed(self.subject) if kind == "CN"), None)

    @property
    def subject_name(self) -> str:
        """The subject as text, its last part first (RFC 4514): ``CN=example.org,O=Example``."""
        return ",".join(f"{kind}={_escaped(value)}" for kind, value in reversed(self.subject))

    @property
    def dns_names(self) -> tuple[str, ...]:
        return self._of("dns")

    @property
    def uris(self) -> tuple[str, ...]:
        return self._of("uri")

    @property
    def emails(self) -> tuple[str, ...]:
        return self._of("email")

    @property
    def ip_addresses(self) -> tuple[str, ...]:
        return self._of("ip")

    @property
    def pem(self) -> str:
        """The certificate in PEM (RFC 7468)."""
        return pem_of(self.der)

    def covers(self, host: str) -> bool:
        """Whether it is about a host: by a DNS name, which may begin with ``*.``, or without any by the common name."""
        wanted = host.lower().rstrip(".")
        names = self.dns_names or ((self.common_name,) if self.common_name else ())
        parent = wanted.partition(".")[2]
        return any(
            name.lower() == wanted or (name.startswith("*.") and bool(parent) and name[2:].lower() == parent)
            for name in names
        )

    def _of(self, kind: str) -> tuple[str, ...]:
        return tuple(value for each, value in self.names if each == kind)


@dataclass(frozen=True, slots=True)
class ConnectionSecurity:
    """How a connection over TLS is secured, and what the peer showed."""

    version: str
    """``TLSv1.3``, for example."""
    cipher: str
    """The cipher suite's name, as OpenSSL writes it."""
    certificate: Certificate | None
    """The peer's; None if it showed none. Whether it was verified is what the connection was opened with."""
    chain: tuple[bytes, ...] = ()
    """The peer's certificates (DER), its own first. Before Python 3.13 that is all of them."""
    is_resumed: bool = False
    """The session is one of an earlier connection, gone on with (RFC 8446, section 2.2)."""

    @property
    def auth_context(self) -> dict[str, tuple[bytes, ...]]:
        """The same by the names of the properties of gRPC's auth context, as grpcio shows them."""
        properties: dict[str, tuple[bytes, ...]] = {
            "transport_security_type": (b"ssl",),
            "security_level": (b"TSI_PRIVACY_AND_INTEGRITY",),
        }
        properties["ssl_session_reused"] = (b"true" if self.is_resumed else b"false",)
        properties["ssl_tls_version"] = (self.version.encode(),)
        certificate = self.certificate
        if certificate is None:
            return properties
        properties["x509_subject"] = (certificate.subject_name.encode(),)
        if certificate.common_name is not None:
            properties["x509_common_name"] = (certificate.common_name.encode(),)
        properties["x509_pem_cert"] = (certificate.pem.encode(),)
        if len(self.chain) > 1:
            properties["x509_pem_cert_chain"] = ("".join(map(pem_of, self.chain)).encode(),)
        if certificate.names:
            properties["x509_subject_alternative_name"] = tuple(value.encode() for _, value in certificate.names)
        for kind in ("dns", "uri", "email", "ip"):
            if values := tuple(value.encode() for each, value in certificate.names if each == kind):
                properties[f"peer_{kind}"] = values
        return properties

    @property
    def identity_key(self) -> str | None:
        """Which property of `auth_context` says who the peer is; None if it showed no certificate."""
        certificate = self.certificate
        if certificate is None:
            return None
        if certificate.names:
            return "x509_subject_alternative_name"
        return None if certificate.common_name is None else "x509_common_name"


def security_of(tls: TlsLayer | None) -> ConnectionSecurity | None:
    """How the connection over a layer of TLS is secured; None without one."""
    if tls is None:
        return None
    der = tls.peer_certificate
    return ConnectionSecurity(
        version=tls.version or "",
        cipher=tls.cipher or "",
        certificate=None if der is None else read_certificate(der),
        chain=tls.peer_chain,
        is_resumed=tls.is_resumed,
    )


@lru_cache(maxsize=128)
def read_certificate(der: bytes) -> Certificate:
    """A certificate in DER, as data. What is no certificate has no subject and no names."""
    subject: tuple[tuple[str, str], ...] = ()
    names: tuple[tuple[str, str], ...] = ()
    with suppress(ValueError, IndexError):
        fields = items(items(items(der)[0][1])[0][1])
        if fields[0][0] == VERSION:
            fields = fields[1:]
        subject = _subject(fields[4][1])
        for tag, content in fields[6:]:
            if tag == EXTENSIONS:
                names = _alternative_names(items(content)[0][1])
    return Certificate(der, subject, names)


def pem_of(der: bytes) -> str:
    """A certificate in PEM (RFC 7468)."""
    text = encodebytes(der).decode().replace("\n", "")
    lines = [text[at : at + 64] for at in range(0, len(text), 64)]
    return "\n".join(("-----BEGIN CERTIFICATE-----", *lines, "-----END CERTIFICATE-----", ""))


def _subject(content: bytes) -> tuple[tuple[str, str], ...]:
    found = []
    for _, group in items(content):
        for _, pair in items(group):
            (_, identifier), (tag, value) = items(pair)[:2]
            kind = ATTRIBUTES.get(identifier) or _dotted(identifier)
            found.append((kind, value.decode(ENCODINGS.get(tag, "latin-1"), "replace")))
    return tuple(found)


def _alternative_names(extensions: bytes) -> tuple[tuple[str, str], ...]:
    found = []
    for _, extension in items(extensions):
        parts = items(extension)
        if parts[0][1] != SUBJECT_ALT_NAME:
            continue
        for tag, value in items(items(parts[-1][1])[0][1]):
            if tag == IP:
                if len(value) in (4, 16):
                    found.append(("ip", str(ipaddress.ip_address(value))))
            elif tag in (DNS, URI, EMAIL):
                kind = {DNS: "dns", URI: "uri", EMAIL: "email"}[tag]
                found.append((kind, value.decode("ascii", "replace")))
    return tuple(found)


def _dotted(identifier: bytes) -> str:
    """An object identifier in numbers (X.690, section 8.19)."""
    numbers: list[int] = []
    number = 0
    for octet in identifier:
        number = (number << 7 | octet & 0x7F) & (1 << 64) - 1
        if not octet & 0x80:
            numbers.append(number)
            number = 0
    if not numbers:
        return ""
    first = min(numbers[0] // 40, 2)
    return ".".join(map(str, (first, numbers[0] - 40 * first, *numbers[1:])))


def _escaped(value: str) -> str:
    return "".join(f"\\{character}" if character in ',+"\\<>;=' else character for character in value)
