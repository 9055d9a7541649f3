"""The params of connect, invoke and Stream: k6's names or snake_case, a dict or keywords, checked with k6's words."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypedDict

from puregrpc.client.durations import milliseconds
from puregrpc.errors import InvalidArgument
from puregrpc.metrics import tag_values
from puregrpc.transport.thread_session.busy_poll import LONGEST_BUSY_POLL

if TYPE_CHECKING:
    from collections.abc import Sequence

    from puregrpc.transport import Tap, TlsOptions

__all__ = ["CallKeywords", "CallParams", "ConnectKeywords", "ConnectParams", "call_params", "connect_params"]

CONNECT_TIMEOUT = 60_000.0
INVOKE_TIMEOUT = 120_000.0
LONGEST_TIMEOUT = 2e9
"""23 days: what operating systems can wait for at once; more counts as that."""
MAX_RECEIVE_SIZE = 4 << 20
MAX_SEND_SIZE = 2**31 - 1

_AUTHORITY = re.compile("[!-~]*")

Metadata = tuple[tuple[str, "str | bytes"], ...]


class TlsParams(TypedDict, total=False):
    """PEM text; ``cacerts`` one text or a list."""

    cert: str | bytes | os.PathLike[str]
    key: str | bytes | os.PathLike[str]
    password: str
    cacerts: str | bytes | os.PathLike[str] | Sequence[str | bytes | os.PathLike[str]]


class ConnectKeywords(TypedDict, total=False):
    """The params of `Client.connect`. Times: a number is milliseconds, text has units. Sizes are octets."""

    plaintext: bool
    reflect: bool
    reflect_metadata: Mapping[str, str | bytes] | None
    reflectMetadata: Mapping[str, str | bytes] | None
    timeout: float | str
    max_receive_size: int
    maxReceiveSize: int
    max_send_size: int
    maxSendSize: int
    tls: TlsParams
    authority: str
    trace: Tap | None
    busy_poll: float | str


class CallKeywords(TypedDict, total=False):
    """The params of a call. ``timeout``: a number is milliseconds, text has units."""

    metadata: Mapping[str, str | bytes] | None
    tags: Mapping[str, str | float | bool] | None
    timeout: float | str
    discard_response_message: bool
    discardResponseMessage: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectParams:
    """Checked params of `Client.connect`."""

    plaintext: bool = False
    reflect: bool = False
    reflect_metadata: Metadata = ()
    timeout: float = CONNECT_TIMEOUT
    """Milliseconds."""
    max_receive_size: int = MAX_RECEIVE_SIZE
    max_send_size: int = MAX_SEND_SIZE
    tls: TlsOptions | None = None
    authority: str | None = None
    trace: Tap | None = None
    """Hears every octet of the connection, such as a `puregrpc.trace.Recorder`."""
    busy_poll: float | None = None
    """Seconds; None: the default of `puregrpc.channel.BlockingChannel`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CallParams:
    """Checked params of a call."""

    metadata: Metadata = ()
    tags: dict[str, str] = field(default_factory=dict)
    timeout: float | None = None
    """Milliseconds; None: the default of the call."""
    discard_response_message: bool = False


NO_PARAMS = CallParams()


def shown(value: object) -> str:
    """A value as messages show it: as JSON where it is simple."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    if isinstance(value, float):
        return "NaN" if value != value else f"{value:g}"
    return repr(value)


def merged(params: object, keywords: Mapping[str, Any]) -> dict[str, Any]:
    """Dict and keywords together."""
    if params is None:
        return dict(keywords)
    if not isinstance(params, Mapping):
        raise InvalidArgument(f"params are a dict or keyword arguments, not {type(params).__name__}")
    both = [name for name in keywords if name in params]
    if both:
        raise InvalidArgument(f'param "{both[0]}" is given twice, in the dict and as a keyword')
    return {**params, **keywords}


def snake_case(name: object) -> str:
    """A param's name in snake_case, from k6's spelling."""
    return re.sub(r"(?<=[a-z])([A-Z])", lambda m: "_" + m[1].lower(), name) if isinstance(name, str) else ""


# -- connect


def connect_params(params: object, keywords: Mapping[str, Any]) -> ConnectParams:
    """Check the params of connect; the first that is wrong decides. Raises InvalidArgument."""
    try:
        values: dict[str, Any] = {}
        given = merged(params, keywords)
        for name, value in given.items():
            key = snake_case(name)
            reader = CONNECT_READERS.get(key)
            if key == "tls" and given.get("plaintext") is True:
                reader = check_types_of_tls  # certificates that are not used are not looked at
            if reader is None:
                raise InvalidArgument(f'unknown connect param: "{name}"')
            if key in values:
                raise InvalidArgument(f'param "{name}" is given twice, in both spellings')
            values[key] = reader(value)
        return ConnectParams(**values)
    except PemError as error:
        raise InvalidArgument(str(error)) from None
    except InvalidArgument as error:
        raise InvalidArgument(f"invalid grpc.connect() parameters: {error}") from None


class PemError(InvalidArgument):
    """Text that should be PEM is not; k6 says so without the prefix of the other messages."""


def boolean(name: str) -> Callable[[object], bool]:
    def read(value: object) -> bool:
        if not isinstance(value, bool):
            raise InvalidArgument(f"invalid {name} value: '{shown(value)}', it needs to be boolean")
        return value

    return read


def size(name: str, default: int) -> Callable[[object], int]:
    def read(value: object) -> int:
        whole = isinstance(value, float) and value.is_integer() and abs(value) < 2**63
        if isinstance(value, bool) or not (isinstance(value, int) or whole):
            raise InvalidArgument(f"invalid {name} value: '{shown(value)}', it needs to be an integer")
        number = int(value)  # type: ignore[call-overload]  # it is an int, or a float without a fraction
        if number < 0:  # the message is k6's to the letter, with the quote that it lacks
            raise InvalidArgument(f"invalid {name} value: '{number}, it needs to be a positive integer")
        return number or default

    return read


def read_timeout(value: object) -> float:
    try:
        return min(milliseconds(value), LONGEST_TIMEOUT)
    except InvalidArgument as error:
        raise InvalidArgument(f"invalid timeout value: {error}") from None


def read_busy_poll(value: object) -> float:
    try:
        seconds = milliseconds(value) / 1000
    except InvalidArgument as error:
        raise InvalidArgument(f"invalid busy_poll value: {error}") from None
    if not 0 <= seconds <= LONGEST_BUSY_POLL:
        longest = LONGEST_BUSY_POLL * 1000
        raise InvalidArgument(f"invalid busy_poll value: '{shown(value)}', it needs to be 0 to {longest:g} ms")
    return seconds


def read_authority(value: object) -> str | None:
    if not isinstance(value, str):
        raise InvalidArgument(f"invalid authority value: '{shown(value)}', it needs to be a string")
    if not _AUTHORITY.fullmatch(value):
        raise InvalidArgument(
            f"invalid authority value: '{shown(value)}', it needs to be a host, with or without a port"
        )
    return value or None


def read_trace(value: object) -> object:
    if value is not None and not (
        callable(getattr(value, "sent", None)) and callable(getattr(value, "received", None))
    ):
        raise InvalidArgument(f"invalid trace value: '{shown(value)}', it needs to be a puregrpc.trace.Recorder")
    return value


def metadata_reader(name: str) -> Callable[[object], Metadata]:
    def read(value: object) -> Metadata:
        if value is None:
            return ()
        if not isinstance(value, Mapping):
            raise InvalidArgument(f"invalid {name} param: must be an object with key-value pairs")
        entries: list[tuple[str, str | bytes]] = []
        for key, item in value.items():
            if not isinstance(key, str):
                raise InvalidArgument(f"invalid {name} param: the name {key!r} must be a string")
            if key.endswith("-bin"):
                if not isinstance(item, bytes | bytearray | memoryview):
                    raise InvalidArgument(f'invalid {name} param: "{key}" value must be binary')
                entries.append((key.lower(), bytes(item)))
            elif not isinstance(item, str):
                raise InvalidArgument(f'invalid {name} param: "{key}" value must be a string')
            else:
                lower = key.lower()
                entries.append((lower, item.encode() if lower.endswith("-bin") else item))
        return tuple(entries)

    return read


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


CONNECT_READERS: dict[str, Callable[[object], object]] = {
    "plaintext": boolean("plaintext"),
    "reflect": boolean("reflect"),
    "reflect_metadata": metadata_reader("reflectMetadata"),
    "timeout": read_timeout,
    "max_receive_size": size("maxReceiveSize", MAX_RECEIVE_SIZE),
    "max_send_size": size("maxSendSize", MAX_SEND_SIZE),
    "tls": read_tls,
    "authority": read_authority,
    "trace": read_trace,
    "busy_poll": read_busy_poll,
}


# -- calls


def call_params(params: object, keywords: Mapping[str, Any], where: str) -> CallParams:
    """Check the params of a call. ``where`` begins the message of the InvalidArgument that it raises."""
    if params is None and not keywords:
        return NO_PARAMS
    try:
        values: dict[str, Any] = {}
        for name, value in merged(params, keywords).items():
            key = snake_case(name)
            reader = CALL_READERS.get(key)
            if reader is None:
                raise InvalidArgument(f'unknown param: "{name}"')
            if key in values:
                raise InvalidArgument(f'param "{name}" is given twice, in both spellings')
            values[key] = reader(value)
        return CallParams(**values)
    except InvalidArgument as error:
        raise InvalidArgument(f"{where}: {error}") from None


def read_tags(value: object) -> dict[str, str]:
    """Tags as text. As in k6, a list or text gives its items the tags 0, 1, …, and other non-objects give none."""
    if isinstance(value, list | tuple | str):
        value = dict(enumerate(value))
    if not isinstance(value, Mapping):
        return {}
    try:
        return tag_values(value)
    except InvalidArgument as error:
        raise InvalidArgument(f"metric tags: {error}") from None


CALL_READERS: dict[str, Callable[[object], object]] = {
    "metadata": metadata_reader("metadata"),
    "tags": read_tags,
    "timeout": lambda value: read_timeout(value) or None,
    "discard_response_message": bool,
}
