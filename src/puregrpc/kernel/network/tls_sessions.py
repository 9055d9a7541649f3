"""TLS sessions that a client keeps, and goes on with when it connects again."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import TYPE_CHECKING

from puregrpc._locks import Lock
from puregrpc.errors import InvalidArgument

if TYPE_CHECKING:
    import ssl

__all__ = ["TlsSessionCache"]

MOST_CONTEXTS = 16
"""How many different options of clients one cache serves at a time."""


class TlsSessionCache:
    """Sessions of a client's TLS connections, with which later ones to the same name begin: without certificates,
    and so with less work for both ends (RFC 8446, section 2.2; RFC 5077).

    Put it into the `session_cache` of `TlsOptions`; any number of channels share it, and a session is used only under
    options equal to those that it was made with. At most ``capacity`` sessions are kept; of more, those used longest
    ago are forgotten. A session of TLS 1.3 is used once, so that nobody who watches the network can tell by it that
    connections belong together (appendix C.4); each connection brings another. A server that does not know a session
    any more does a whole handshake. The certificate of the peer is not verified anew.

    Raises InvalidArgument if ``capacity`` is less than 1.
    """

    def __init__(self, capacity: int = 64) -> None:
        if capacity < 1:
            raise InvalidArgument(f"capacity is {capacity}: at least one session")
        self.capacity = capacity
        self._lock = Lock()
        self._contexts: list[tuple[object, ssl.SSLContext]] = []
        """The contexts of options, the latest last: a session belongs to a context."""
        self._sessions: OrderedDict[tuple[ssl.SSLContext, str | None], tuple[ssl.SSLSession, bool]] = OrderedDict()
        """By context and name; and whether each is for one connection alone."""

    def __len__(self) -> int:
        return len(self._sessions)

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {len(self)} of at most {self.capacity} sessions>"

    def context_for(self, options: object, make: Callable[[], ssl.SSLContext]) -> ssl.SSLContext:
        """The context for options: the one that was made for equal ones, or a new one."""
        with self._lock:
            found = next((each for each in self._contexts if each[0] == options), None)
            if found is None:
                found = (options, make())
            else:
                self._contexts.remove(found)
            self._contexts.append(found)
            if len(self._contexts) > MOST_CONTEXTS:
                _, forgotten = self._contexts.pop(0)
                for key in [key for key in self._sessions if key[0] is forgotten]:
                    del self._sessions[key]
            return found[1]

    def take(self, context: ssl.SSLContext, name: str | None) -> ssl.SSLSession | None:
        """A session to go on with, with the peer of this name; None if there is none."""
        with self._lock:
            found = self._sessions.get((context, name))
            if found is None:
                return None
            session, is_for_one = found
            if is_for_one:
                del self._sessions[context, name]
            else:
                self._sessions.move_to_end((context, name))
            return session

    def put(self, context: ssl.SSLContext, name: str | None, session: ssl.SSLSession, *, is_for_one: bool) -> None:
        """Keep a session in the place of the one with the same name."""
        with self._lock:
            self._sessions[context, name] = session, is_for_one
            self._sessions.move_to_end((context, name))
            if len(self._sessions) > self.capacity:
                self._sessions.popitem(last=False)
