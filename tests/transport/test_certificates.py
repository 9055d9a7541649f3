"""Certificates as data."""

from __future__ import annotations

import ssl

import pytest
import trustme
from hypothesis import given
from hypothesis import strategies as st

from puregrpc.transport import Certificate, read_certificate


def der_of(pem: bytes) -> bytes:
    return ssl.PEM_cert_to_DER_cert(pem.decode())


AUTHORITY = trustme.CA(organization_name="Ünïversal, Trust")


def test_whom_a_certificate_is_about() -> None:
    issued = AUTHORITY.issue_cert(
        "a.example", "*.b.example", "127.0.0.1", "2001:db8::1", "me@example.org", common_name="Mr. A, the first"
    )
    pem = issued.cert_chain_pems[0].bytes()
    certificate = read_certificate(der_of(pem))
    assert certificate.common_name == "Mr. A, the first"
    assert certificate.dns_names == ("a.example", "*.b.example")
    assert certificate.ip_addresses == ("127.0.0.1", "2001:db8::1")
    assert certificate.emails == ("me@example.org",)
    assert certificate.uris == ()
    assert [kind for kind, _ in certificate.names] == ["dns", "dns", "ip", "ip", "email"]
    assert certificate.subject_name.startswith(r"CN=Mr. A\, the first,")
    assert certificate.pem.encode() == pem.replace(b"\r\n", b"\n")
    assert dict(read_certificate(der_of(AUTHORITY.cert_pem.bytes())).subject)["O"] == "Ünïversal, Trust"


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("a.example", True),
        ("A.Example.", True),
        ("x.b.example", True),
        ("b.example", False),
        ("x.y.b.example", False),
        ("Mr. A", False),
        ("", False),
    ],
)
def test_which_hosts_it_covers(host: str, expected: bool) -> None:
    issued = AUTHORITY.issue_cert("a.example", "*.b.example", common_name="Mr. A")
    assert read_certificate(der_of(issued.cert_chain_pems[0].bytes())).covers(host) is expected
    assert Certificate(b"", subject=(("CN", "old.example"),)).covers("old.example")
    assert not Certificate(b"").covers("old.example")


WHOLE = der_of(AUTHORITY.issue_cert("a.example", common_name="a").cert_chain_pems[0].bytes())


@given(st.binary(max_size=200) | st.integers(0, len(WHOLE)).map(lambda size: WHOLE[:size]))
def test_what_is_no_certificate_has_no_names(octets: bytes) -> None:
    certificate = read_certificate(octets)
    assert certificate.der == octets
    assert octets == WHOLE or certificate.names == ()


@given(st.integers(0, len(WHOLE) - 1), st.integers(0, 255))
def test_a_damaged_certificate_is_read_as_far_as_that_goes(at: int, octet: int) -> None:
    damaged = WHOLE[:at] + bytes((octet,)) + WHOLE[at + 1 :]
    certificate = read_certificate(damaged)
    assert isinstance(certificate.subject_name, str)
    assert isinstance(certificate.covers("a.example"), bool)
