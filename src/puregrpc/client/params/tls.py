"""The param ``tls`` of connect: PEM text, checked, and said in k6's words where it is wrong."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypedDict

from puregrpc.client.params.reading import shown
from puregrpc.errors import InvalidArgument

if TYPE_CHECKING:
    from collections.abc import Sequence

    from puregrpc.transport import TlsOptions

__all__ = ["PemError", "TlsParams", "check_types_of_tls", "read_tls"]


class TlsParams(TypedDict, total=False):
    """PEM text; ``cacerts`` one text or a list."""

    cert: str | bytes | os.PathLike[str]
    key: str | bytes | os.PathLike[str]
    password: str
    cacerts: str | bytes | os.PathLike[str] | Sequence[str | bytes | os.PathLike[str]]


class PemError(InvalidArgument):
    """Text that should be PEM is not; k6 says so without the prefix of the other messages."""


def pem(value: object) -> str:
    """PEM text, or the contents of the file that a path object names."""
    if isinstance(value, os.PathLike):
        with open(value, encoding="ascii", errors="replace") as file:  # noqa: PTH123 - any PathLike
            return file.read()
    if isinstance(value, bytes):
        return value.decode("ascii", "replace")
    if isinstance(value, str):
        return value
    raise TypeError(type(value).__name__)


def check_types_of_tls(value: object) -> None:
    tls_texts(value)


def tls_texts(value: object) -> tuple[dict[str, str], str | bytes, list[str]]:
    """``cert`` and ``key`` as far as they are given, the password, and the root certificates."""
    if not isinstance(value, Mapping):
        raise InvalidArgument(
            f"invalid tls value: '{shown(value)}', expected (optional) keys: cert, key, password, and cacerts"
        )
    texts: dict[str, str] = {}
    for name in ("cert", "key"):
        if name in value:
            try:
                texts[name] = pem(value[name])
            except TypeError:
                raise InvalidArgument(
                    f"invalid tls {name} value: '{shown(value[name])}', it needs to be a PEM formatted string"
                ) from None
            except OSError as error:
                raise InvalidArgument(f"invalid tls {name} value: {error}") from None
    password = value.get("password", "")
    if not isinstance(password, str | bytes):
        raise InvalidArgument(f"invalid tls password value: a {type(password).__name__}, it needs to be a string")
    return texts, password, cacerts(value["cacerts"]) if "cacerts" in value else []


def read_tls(value: object) -> TlsOptions:
    texts, password, roots = tls_texts(value)
    from puregrpc.transport import TlsOptions

    for index, root in enumerate(roots):
        if "CERTIFICATE-----" not in root:
            raise PemError(f"failed to append ca certificate [{index}] from PEM")
    cert, key = texts.get("cert", ""), texts.get("key", "")
    if password and not key and "PRIVATE KEY-----" not in cert:
        raise PemError("failed to decode PEM key: a password was given, but no key")
    options: dict[str, Any] = {"root_certificates": "\n".join(roots) if roots else None}
    if cert and (key or "PRIVATE KEY-----" in cert):
        if "CERTIFICATE-----" not in cert:
            raise PemError(
                "failed to append certificate from PEM: tls: failed to find any PEM data in certificate input"
            )
        if key and "PRIVATE KEY-----" not in key:
            raise PemError("failed to append certificate from PEM: tls: failed to find any PEM data in key input")
        options.update(certificate_chain=cert, private_key=key or None, password=password or None)
    made = TlsOptions(**options)
    try:
        made.client_context()
    except InvalidArgument as error:
        if "password does not decrypt" in str(error):
            raise PemError("x509: decryption password incorrect") from None
        raise PemError(f"failed to append certificate from PEM: {tls_words(str(error))}") from None
    return made


def tls_words(problem: str) -> str:
    if "no password was given" in problem:
        return "tls: failed to parse private key: it is encrypted and no password was given"
    if "do not go together" in problem:
        return "tls: private key does not match public key"
    return problem


def cacerts(value: object) -> list[str]:
    try:
        if isinstance(value, list | tuple):
            return [pem(item) for item in value]
        return [pem(value)]
    except TypeError:
        raise InvalidArgument(
            f"invalid tls cacerts value: '{shown(value)}', it needs to be a string or an array of PEM formatted strings"
        ) from None
    except OSError as error:
        raise InvalidArgument(f"invalid tls cacerts value: {error}") from None
