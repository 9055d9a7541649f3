"""TLS options: PEM as people have it, private authorities on every Python, what is said of what is wrong."""

from __future__ import annotations

import datetime
import os
import ssl
import subprocess
import sys
import tempfile
import textwrap
from base64 import encodebytes
from contextlib import suppress
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from hypothesis import given
from hypothesis import strategies as st

from puregrpc.errors import ConnectError, InvalidArgument
from puregrpc.kernel import Kernel
from puregrpc.kernel.network.connecting import dial, secure
from puregrpc.kernel.network.listening import listen
from puregrpc.kernel.network.tls import TlsError, TlsLayer
from puregrpc.transport import InsecureTlsWarning, SessionOptions, TlsOptions, open_session
from puregrpc.transport.pem import CLIENT_AUTH, SERVER_AUTH, blocks
from tests.kernel.certificates import shake_hands
from tests.kernel.worlds import EACH_WORLD, run, together
from tests.transport.fakes import EchoConnection, Owner

AUTHORITY = trustme.CA()
ROOT = AUTHORITY.cert_pem.bytes()
ISSUED = AUTHORITY.issue_cert("localhost", "127.0.0.1")
CHAIN = b"".join(blob.bytes() for blob in ISSUED.cert_chain_pems)
KEY = ISSUED.private_key_pem.bytes()
OTHER_ROOT = trustme.CA().cert_pem.bytes()

SERVER = TlsOptions(certificate_chain=CHAIN, private_key=KEY)
CLIENT = TlsOptions(root_certificates=ROOT)


def meet(
    client: TlsOptions = CLIENT, server: TlsOptions = SERVER, name: str = "localhost"
) -> tuple[TlsLayer, TlsLayer]:
    """The two ends of a connection after the handshake."""
    ends = (
        TlsLayer(client.client_context(), server_name=client.server_name or name),
        TlsLayer(server.server_context(), server_side=True),
    )
    shake_hands(*ends)
    return ends


def temporaries() -> set[Path]:
    return set(Path(tempfile.gettempdir()).glob("puregrpc-*.pem"))


# -- PEM


NOISE = [
    "Größe 漢字: Schlüssel\n".encode(),
    "friendlyName: Größe\n".encode("latin-1"),
    b"\xff\xfe\x00\x80\n",
    b"Bag Attributes\r\n    localKeyID: 01\r\n",
    b"subject=CN = x\n-----BEGIN\n----- BEGIN CERTIFICATE-----\n",
]


@pytest.mark.parametrize("noise", NOISE)
@pytest.mark.parametrize("in_files", [False, True])
def test_text_outside_of_the_blocks_is_ignored(noise: bytes, in_files: bool, tmp_path: Path) -> None:
    def piece(name: str, pem: bytes) -> bytes | Path:
        pem = noise + pem + noise
        if not in_files:
            return pem
        (tmp_path / name).write_bytes(pem)
        return tmp_path / name

    root, chain, key = piece("root", ROOT), piece("chain", CHAIN), piece("key", KEY)
    mutual = TlsOptions(
        root_certificates=root, certificate_chain=chain, private_key=key, require_client_certificate=True
    )
    client, server = meet(TlsOptions(root_certificates=root, certificate_chain=chain, private_key=key), mutual)
    assert client.peer_certificate == server.peer_certificate is not None


def test_text_may_be_unicode_and_have_other_line_ends() -> None:
    meet(TlsOptions(root_certificates="Größe 漢字 \ud800\n" + ROOT.decode().replace("\n", "\r\n") + "\nnach"))


def openssl_x509(pem: bytes, *arguments: str) -> bytes:
    try:
        return subprocess.run(
            ["openssl", "x509", *arguments], input=pem, capture_output=True, check=True, timeout=60
        ).stdout
    except FileNotFoundError:
        pytest.skip("openssl is not installed")


@pytest.mark.parametrize(
    ("arguments", "for_servers", "for_clients"),
    [
        ((), True, True),
        (("-setalias", "Größe"), True, True),
        (("-addtrust", "serverAuth"), True, False),
        (("-addtrust", "clientAuth"), False, True),
        (("-addtrust", "emailProtection"), False, False),
        (("-addtrust", "anyExtendedKeyUsage"), True, True),
        (("-addreject", "serverAuth"), False, True),
        (("-addreject", "clientAuth", "-setalias", "x"), True, False),
        (("-addreject", "anyExtendedKeyUsage"), False, False),
        (("-addtrust", "serverAuth", "-addreject", "serverAuth"), False, False),
    ],
)
def test_trusted_certificates_are_for_what_they_say(
    arguments: tuple[str, ...], for_servers: bool, for_clients: bool, tmp_path: Path
) -> None:
    trusted = openssl_x509(ROOT, "-trustout", *arguments)
    assert b"BEGIN TRUSTED CERTIFICATE" in trusted
    (tmp_path / "roots.pem").write_bytes(trusted)
    for roots in (trusted, tmp_path / "roots.pem"):
        client = TlsOptions(root_certificates=roots)
        server = TlsOptions(root_certificates=roots, certificate_chain=CHAIN, private_key=KEY)
        for make, is_trusted in ((client.client_context, for_servers), (server.server_context, for_clients)):
            if is_trusted:
                make()
            else:
                with pytest.raises(InvalidArgument, match=r"^root_certificates.*: none of its certificates is trusted"):
                    make()
        if for_servers:
            meet(client)
        # Beside others it is passed over, and does no harm.
        both = TlsOptions(root_certificates=OTHER_ROOT + trusted)
        if for_servers:
            meet(both)
        else:
            with pytest.raises(TlsError, match="not trusted"):
                meet(both)


def test_openssl_agrees_on_what_trusted_certificates_are_for(tmp_path: Path) -> None:
    """OpenSSL reads them itself from a file of roots; what is read here is to mean the same."""
    for arguments in (("-addtrust", "serverAuth"), ("-addtrust", "clientAuth"), ("-addreject", "serverAuth"), ()):
        trusted = openssl_x509(ROOT, "-trustout", *arguments)
        (tmp_path / "roots.pem").write_bytes(trusted)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations(cafile=tmp_path / "roots.pem")
        ends = TlsLayer(context, server_name="localhost"), TlsLayer(SERVER.server_context(), server_side=True)
        try:
            shake_hands(*ends)
            agreed = True
        except TlsError:
            agreed = False
        assert blocks(trusted)[0].is_trusted_for(SERVER_AUTH) == agreed


def test_certificates_under_their_other_labels() -> None:
    old = ROOT.replace(b" CERTIFICATE", b" X509 CERTIFICATE")
    assert old != ROOT
    trusted = openssl_x509(CHAIN, "-trustout")
    meet(TlsOptions(root_certificates=old), TlsOptions(certificate_chain=trusted, private_key=KEY))


@pytest.mark.parametrize("in_files", [False, True])
def test_a_key_file_may_begin_with_another_certificate(in_files: bool, tmp_path: Path) -> None:
    text = OTHER_ROOT + CHAIN + b"-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n" + KEY
    key: bytes | Path = text
    chain: bytes | Path = CHAIN
    if in_files:
        key, chain = tmp_path / "key", tmp_path / "chain"
        key.write_bytes(text)
        chain.write_bytes(CHAIN)
    client, _ = meet(CLIENT, TlsOptions(certificate_chain=chain, private_key=key))
    assert client.peer_certificate == ssl.PEM_cert_to_DER_cert(ISSUED.cert_chain_pems[0].bytes().decode())
    mutual = TlsOptions(root_certificates=ROOT, certificate_chain=CHAIN + KEY, require_client_certificate=True)
    meet(TlsOptions(root_certificates=ROOT, certificate_chain=chain, private_key=key), mutual)


def test_intermediate_certificates_are_sent() -> None:
    intermediate = AUTHORITY.create_child_ca()
    leaf = intermediate.issue_cert("localhost")
    chain = b"".join(blob.bytes() for blob in leaf.cert_chain_pems)
    assert chain.count(b"BEGIN CERTIFICATE") == 2
    meet(CLIENT, TlsOptions(certificate_chain=b"text\n" + chain, private_key=leaf.private_key_pem.bytes()))


@given(
    st.binary(max_size=300)
    | st.lists(st.sampled_from([ROOT, KEY, b"-----BEGIN X-----\n", b"-----END X-----\n", b"\n", b"-----"])).map(
        b"".join
    )
)
def test_any_text_has_its_blocks_or_an_error(pem: bytes) -> None:
    try:
        found = blocks(pem)
    except ValueError:
        return
    for block in found:
        assert block.pem in pem
        try:
            block.is_trusted_for(CLIENT_AUTH)
            assert block.der() is not None
        except ValueError:
            continue


@given(st.binary(max_size=60), st.integers(0, 2000), st.integers(0, 255))
def test_a_trusted_certificate_that_is_damaged_has_an_error(behind: bytes, place: int, octet: int) -> None:
    der = bytearray(ssl.PEM_cert_to_DER_cert(ROOT.decode()) + behind)
    der[place % len(der)] = octet
    pem = b"-----BEGIN TRUSTED CERTIFICATE-----\n" + encodebytes(der) + b"-----END TRUSTED CERTIFICATE-----\n"
    with suppress(InvalidArgument):
        TlsOptions(root_certificates=pem).client_context()


# -- files


def block(label: str, content: str = "AAAA") -> str:
    return f"-----BEGIN {label}-----\n{content}\n-----END {label}-----\n"


class NoStorage:
    """A system without a place for temporary files."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def mkstemp(**_: str) -> None:
            raise FileNotFoundError(2, "No usable temporary directory found")

        monkeypatch.setattr(tempfile, "mkstemp", mkstemp)


def test_files_need_no_storage_and_text_says_that_it_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "chain").write_bytes(CHAIN)
    (tmp_path / "key").write_bytes(KEY)
    (tmp_path / "both").write_bytes(KEY + CHAIN)
    (tmp_path / "root").write_bytes(ROOT)
    NoStorage(monkeypatch)
    root, chain, key, both = (tmp_path / name for name in ("root", "chain", "key", "both"))
    for pieces in ({"certificate_chain": chain, "private_key": str(key)}, {"certificate_chain": os.fsencode(both)}):
        for roots in (root, ROOT):
            mutual = TlsOptions(root_certificates=roots, require_client_certificate=True, **pieces)
            client, server = meet(mutual, mutual)
            assert client.peer_certificate == server.peer_certificate is not None
    for options in (
        TlsOptions(certificate_chain=CHAIN, private_key=KEY),
        TlsOptions(certificate_chain=chain, private_key=KEY),
        TlsOptions(certificate_chain=CHAIN + KEY),
    ):
        for make in (options.client_context, options.server_context):
            with pytest.raises(InvalidArgument, match=r"temporary file.*No usable temporary.*give the paths of files"):
                make()


def test_text_leaves_no_file_behind() -> None:
    before = temporaries()
    meet()
    with pytest.raises(InvalidArgument, match="certificate_chain and private_key do not go together"):
        TlsOptions(
            certificate_chain=CHAIN, private_key=AUTHORITY.issue_cert("x").private_key_pem.bytes()
        ).client_context()
    assert temporaries() <= before


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="the system has no named pipes")
def test_a_pipe_is_read_once(tmp_path: Path) -> None:
    """As a shell's ``<(...)`` gives it."""
    ends = os.pipe()
    os.write(ends[1], KEY)
    os.close(ends[1])
    meet(CLIENT, TlsOptions(certificate_chain=CHAIN, private_key=f"/dev/fd/{ends[0]}"))
    os.close(ends[0])


@pytest.mark.parametrize("in_files", [False, True])
def test_encrypted_keys(in_files: bool, tmp_path: Path) -> None:
    text = serialization.load_pem_private_key(KEY, None).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.BestAvailableEncryption(b"secret")
    )
    encrypted: bytes | Path = text
    chain: bytes | Path = CHAIN
    if in_files:
        encrypted, chain = tmp_path / "key", tmp_path / "chain"
        encrypted.write_bytes(text)
        chain.write_bytes(CHAIN)
    for password in ("secret", b"secret"):
        meet(CLIENT, TlsOptions(certificate_chain=chain, private_key=encrypted, password=password))
    for bad, meaning in (
        (None, "no password was given"),
        ("wrong", "does not decrypt"),
        ("x" * 2000, "does not decrypt"),
    ):
        options = TlsOptions(certificate_chain=chain, private_key=encrypted, password=bad)
        for make in (options.client_context, options.server_context):
            with pytest.raises(InvalidArgument, match=f"^private_key: .*{meaning}"):
                make()


@pytest.mark.parametrize(
    ("options", "meaning"),
    [
        (TlsOptions(root_certificates="/nowhere/roots.pem"), "root_certificates '/nowhere/roots.pem': No such file"),
        (TlsOptions(root_certificates="no\0where"), "root_certificates .*: .*null"),
        (TlsOptions(root_certificates="/"), "root_certificates '/': Is a directory"),
        (TlsOptions(root_certificates=block("CERTIFICATE")), "root_certificates: not a valid certificate"),
        (TlsOptions(root_certificates=block("CERTIFICATE", "A*AA")), "not base64"),
        (TlsOptions(root_certificates=ROOT + ROOT[:-30]), "root_certificates: there is a BEGIN line without its END"),
        (TlsOptions(root_certificates=ROOT + ROOT.replace(b"MII", b"MIA")), "not a valid certificate 2: "),
        (TlsOptions(root_certificates="-----BEGIN X-----\n-----END X-----"), "no CERTIFICATE in PEM form"),
        (TlsOptions(root_certificates=KEY), "root_certificates: no CERTIFICATE in PEM form"),
        (TlsOptions(certificate_chain=KEY, private_key=KEY), "certificate_chain: no CERTIFICATE in PEM form"),
        (TlsOptions(private_key=KEY), "private_key was given without certificate_chain"),
        (TlsOptions(certificate_chain=CHAIN), "private_key: none was given, and certificate_chain holds none"),
        (TlsOptions(certificate_chain=CHAIN, private_key=CHAIN), "private_key: no PRIVATE KEY in PEM form"),
        (TlsOptions(certificate_chain=CHAIN, private_key=block("OPENSSH PRIVATE KEY")), "no PRIVATE KEY in PEM form"),
        (TlsOptions(certificate_chain=CHAIN, private_key=block("PRIVATE KEY")), "private_key cannot be used"),
        (TlsOptions(key_log_file="/nowhere/keys"), "key_log_file '/nowhere/keys': No such file"),
    ],
)
def test_bad_options_name_the_field(options: TlsOptions, meaning: str) -> None:
    with pytest.raises(InvalidArgument, match=meaning):
        options.client_context()


def test_what_a_server_needs() -> None:
    with pytest.raises(InvalidArgument, match="a TLS server needs a certificate"):
        TlsOptions().server_context()
    with pytest.raises(InvalidArgument, match="require_client_certificate needs root_certificates"):
        TlsOptions(certificate_chain=CHAIN, private_key=KEY, require_client_certificate=True).server_context()


def test_secrets_are_logged_where_that_is_asked_for(tmp_path: Path) -> None:
    meet(TlsOptions(root_certificates=ROOT, key_log_file=tmp_path / "keys"))
    assert "CLIENT_TRAFFIC_SECRET_0 " in (tmp_path / "keys").read_text()


def test_without_verification() -> None:
    with pytest.warns(InsecureTlsWarning):
        meet(TlsOptions(verify=False), name="another.example")
    with pytest.raises(TlsError, match="not trusted"):
        meet(TlsOptions())
    meet(TlsOptions(root_certificates=ROOT, server_name="localhost."), name="another.example")


def test_ssl_is_loaded_when_it_is_needed() -> None:
    script = """
        import sys
        from puregrpc.transport import TlsOptions
        options = TlsOptions(root_certificates="-----BEGIN")
        assert "ssl" not in sys.modules
        sys.modules["ssl"] = None
        for make in (options.client_context, options.server_context):
            try:
                make()
            except ValueError as error:
                assert "TLS needs Python's module ssl" in str(error), error
            else:
                raise AssertionError
    """
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    subprocess.run([sys.executable, "-c", textwrap.dedent(script)], env=environment, check=True, timeout=60)


# -- authorities


@cache
def private_authority(
    *, key_usage: bool, key_identifiers: bool, constraints_critical: bool
) -> tuple[bytes, bytes, bytes]:
    """The root, a certificate for localhost and its key, as people's own scripts make them."""
    now = datetime.datetime.now(datetime.timezone.utc)

    def builder(name: str, issuer: str, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
            .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=1))
            .not_valid_after(now + datetime.timedelta(days=10))
        )

    root_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    root = builder("authority", "authority", root_key)
    root = root.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=constraints_critical)
    leaf = builder("localhost", "authority", key)
    leaf = leaf.add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
    leaf = leaf.add_extension(
        x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False
    )
    if key_usage:
        usage = dict.fromkeys(
            ("digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement",
             "encipher_only", "decipher_only"), False,
        )  # fmt: skip
        root = root.add_extension(x509.KeyUsage(key_cert_sign=True, crl_sign=True, **usage), critical=True)
    if key_identifiers:
        root = root.add_extension(x509.SubjectKeyIdentifier.from_public_key(root_key.public_key()), critical=False)
        issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(root_key.public_key())
        leaf = leaf.add_extension(issuer, critical=False)
    return (
        root.sign(root_key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM),
        leaf.sign(root_key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM),
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()),
    )


@pytest.mark.parametrize(
    ("lacks", "cause"),
    [
        ("", ""),
        ("key_usage", "CA cert does not include key usage extension"),
        ("key_identifiers", "Missing (Authority|Subject) Key Identifier"),
        ("constraints_critical", "Basic Constraints of CA cert not marked critical"),
    ],
)
def test_common_private_authorities_are_taken_unless_that_is_not_wanted(lacks: str, cause: str) -> None:
    parts = dict.fromkeys(("key_usage", "key_identifiers", "constraints_critical"), True) | (
        {lacks: False} if lacks else {}
    )
    root, certificate, key = private_authority(**parts)
    client = TlsOptions(root_certificates=root, certificate_chain=certificate, private_key=key)
    server = TlsOptions(
        root_certificates=root, certificate_chain=certificate, private_key=key, require_client_certificate=True
    )
    meet(client, server)
    for ends in (
        (replace(client, strict_certificates=True), server),
        (client, replace(server, strict_certificates=True)),
    ):
        if not lacks:
            meet(*ends)
            continue
        with pytest.raises(TlsError, match=rf"not trusted: {cause} \(RFC 5280 .*strict_certificates in TlsOptions"):
            meet(*ends)


def test_a_certificate_may_be_its_own_root() -> None:
    """A peer's very certificate is trusted, on every Python: the chain need not lead further."""
    meet(TlsOptions(root_certificates=ISSUED.cert_chain_pems[0].bytes()))


def test_expired_certificates_say_so() -> None:
    old = AUTHORITY.issue_cert("localhost", not_after=datetime.datetime(2020, 1, 1))
    options = TlsOptions(certificate_chain=old.cert_chain_pems[0].bytes(), private_key=old.private_key_pem.bytes())
    with pytest.raises(TlsError, match=r"not trusted: certificate has expired \(this machine's clock, or "):
        meet(CLIENT, options)


# -- sessions


@EACH_WORLD
def test_a_session_hears_why_a_peer_refuses_it(world: str) -> None:
    """TLS 1.3: the refusal comes after the client's handshake, and the socket may be broken for writing by then."""
    server = TlsOptions(
        certificate_chain=CHAIN, private_key=KEY, root_certificates=ROOT, require_client_certificate=True
    )

    async def test(kernel: Kernel) -> None:
        (listener,) = await listen(kernel, "127.0.0.1:0")
        client_context, server_context = CLIENT.client_context(), server.server_context()

        async def refuse() -> None:
            stream = await listener.accept()
            layer = TlsLayer(server_context, server_side=True)
            with pytest.raises(TlsError):
                while not layer.handshake():
                    stream.send_nowait(layer.take_output())
                    while (data := stream.receive_nowait(1 << 16)) is None:
                        await stream.wait_readable()
                    layer.feed(data)
            stream.send_nowait(layer.take_output())
            stream.close()  # with what the client sent unread in it: the connection is reset behind the alert

        async def client() -> None:
            until = kernel.now() + 20
            plain = await dial(kernel, listener.address, until)
            stream = await secure(kernel, plain, client_context, until, server_name="localhost")
            owner = Owner()
            session = open_session(kernel, stream, EchoConnection, owner, SessionOptions())
            session.connection.put(b"a preface")
            await kernel.sleep(kernel.now() + 0.05)
            await session.start()
            with pytest.raises(
                ConnectError, match=r"asks for a client certificate \(certificate_chain in TlsOptions\)"
            ):
                await session.wait_ready()
            assert await session.wait_over(until)

        await together(kernel, refuse, client)
        listener.close()

    run(world, test)
