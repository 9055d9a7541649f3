"""Sending by HTTP: a POST after another to the same URL."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from urllib.error import HTTPError, URLError
from urllib.parse import unquote, urlsplit, urlunsplit
from urllib.request import Request, urlopen

from puregrpc._version import __version__
from puregrpc.errors import Error, InvalidArgument

__all__ = ["Endpoint"]

LONGEST_ANSWER = 64 * 1024
"""Bytes of an answer that are read."""


class Endpoint:
    """Where requests go. Raises InvalidArgument for what is no URL of http or https."""

    def __init__(self, url: str, headers: Mapping[str, str], timeout: float) -> None:
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError as error:
            raise InvalidArgument(f"{url!r} is no URL: {error}") from None
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise InvalidArgument(f"{url!r} is no URL such as http://localhost:9090/api/v1/write")
        host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
        self.shown = urlunsplit(parts._replace(netloc=host if port is None else f"{host}:{port}"))
        """The URL without a password."""
        self._headers = {"User-Agent": f"puregrpc/{__version__}", **headers}
        self._timeout = timeout
        if parts.username:
            self.authenticate(unquote(parts.username), unquote(parts.password or ""))

    def authenticate(self, user: str, password: str) -> None:
        """Send a user's name and password along (RFC 7617)."""
        token = base64.b64encode(f"{user}:{password}".encode()).decode("ascii")
        self._headers["Authorization"] = f"Basic {token}"

    def post(self, body: bytes) -> bytes:
        """Send a request; returns the answer's body. Raises Error for any status but 2xx, and if there is no answer."""
        request = Request(self.shown, body, self._headers, method="POST")
        try:
            with urlopen(request, timeout=self._timeout) as response:
                read: bytes = response.read(LONGEST_ANSWER)
                return read
        except HTTPError as error:
            with error:
                text = error.read(LONGEST_ANSWER).decode("utf-8", "replace").strip()
            raise Error(f"HTTP {error.code} {error.reason}{f': {text[:300]}' if text else ''}") from None
        except URLError as error:
            raise Error(str(error.reason)) from None
