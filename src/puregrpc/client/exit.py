"""The end of a program that has clients: streams are finished first, and handlers' exceptions are not lost."""

from __future__ import annotations

import atexit
import gc
import io
import logging
import os
import sys
import time
import traceback
import weakref
from contextlib import suppress
from typing import TYPE_CHECKING, Protocol

from puregrpc._locks import Lock
from puregrpc.kernel.threads.daemons import HAS_DAEMONS, IS_MAIN_INTERPRETER, before_threads_are_joined

if TYPE_CHECKING:
    from puregrpc.client.streams.client_state import BlockingState
    from puregrpc.client.streams.stream import Stream

    State = BlockingState[Stream]

__all__ = ["close_at_exit"]

LONGEST_WAIT = 60.0
"""Seconds that the program's end waits for streams that were half-closed."""

QUIET_SECONDS = 2.0
"""Seconds without an event after which a stream that was not half-closed is given up: nobody is left to write to it."""

INTERRUPTED = 130
"""The exit status of a program that Ctrl-C ended, as shells have it."""


class Closed(Protocol):
    """The client of a `State`."""

    def close(self) -> None: ...


_clients: weakref.WeakKeyDictionary[State, weakref.ref[Closed]] = weakref.WeakKeyDictionary()
_lock = Lock()
_registered_in = 0
_status = 0
"""The exit status that the program is to have in place of its own; 0: its own."""


def close_at_exit(state: State, client: weakref.ref[Closed]) -> None:
    """Have a client's streams finished and the client closed, if it is still there, when the program ends."""
    global _registered_in
    with _lock:
        _clients[state] = client
        if not _registered_in:
            _registered_in = os.getpid()
            if IS_MAIN_INTERPRETER:
                atexit.register(set_status)  # behind `at_exit` and what the program registers: the last goes first
            if HAS_DAEMONS:
                atexit.register(at_exit)
            else:
                before_threads_are_joined(at_exit, first=True)


def at_exit() -> None:
    """Wait for open streams and close the clients. Exit status 1 if a handler's exception was not told.

    A program that an exception ends, Ctrl-C's for instance, waits for nothing.
    """
    global _status
    clients = {state: client for state, client in list(_clients.items()) if not state.is_foreign}
    if getattr(sys, "last_type", None) is None:
        try:
            wait_for_streams(list(clients))
        except KeyboardInterrupt:
            _status = INTERRUPTED
    for state, client in clients.items():
        for failure in failures_of(state, client()):
            traceback.print_exception(type(failure), failure, failure.__traceback__)
            _status = _status or 1


def set_status() -> None:
    """End the program now if it is to have another exit status, which cannot be set in any other way at its end."""
    if not _status or os.getpid() != _registered_in:
        return
    logging.shutdown()
    for found in gc.get_objects():  # what was not flushed would be lost
        if issubclass(type(found), io.TextIOWrapper | io.BufferedWriter):  # isinstance() looks through weak proxies
            with suppress(OSError, ValueError):
                found.flush()
    os._exit(_status)


def wait_for_streams(clients: list[State]) -> None:
    """Wait until their streams are over, as long as there is hope."""
    began = time.monotonic()
    for client in clients:
        for stream in list(client.streams):
            stream.drain()
    for client in clients:
        finish_streams(client, began)


def failures_of(state: State, client: Closed | None) -> list[BaseException]:
    """Close a client; what its handlers raised."""
    failures: list[BaseException] = []
    if client is None:
        return failures
    for _ in range(len(state.streams) + 1):
        try:
            client.close()
            break
        except BaseException as error:  # a handler's: told at the end
            failures.append(error)
    return failures


def finish_streams(client: State, began: float) -> None:
    """Wait until the client's streams are over, as long as there is hope."""
    while time.monotonic() - began < LONGEST_WAIT:
        waiting = [stream for stream in list(client.streams) if not (stream.is_over or stream.is_iterated)]
        moment = time.monotonic()
        if not any(stream.is_half_closed or moment - stream.last_event < QUIET_SECONDS for stream in waiting):
            return
        time.sleep(0.005)
