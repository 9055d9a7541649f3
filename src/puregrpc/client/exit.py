"""The end of a program that has clients: streams are finished first, and handlers' exceptions are not lost."""

from __future__ import annotations

import atexit
import logging
import os
import sys
import threading
import time
import traceback
import weakref
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from puregrpc.client.client import Client

__all__ = ["watch"]

LONGEST_WAIT = 60.0
"""Seconds that the program's end waits for streams that were half-closed."""

QUIET_SECONDS = 2.0
"""Seconds without an event after which a stream that was not half-closed is given up: nobody is left to write to it."""

_clients: weakref.WeakSet[Client] = weakref.WeakSet()
_lock = threading.Lock()
_registered_in = 0


def watch(client: Client) -> None:
    """Have the client finished when the program ends."""
    global _registered_in
    with _lock:
        _clients.add(client)
        if not _registered_in:
            _registered_in = os.getpid()
            atexit.register(at_exit)


def at_exit() -> None:
    """Wait for open streams, close the clients, and exit with status 1 if a handler's exception was not told."""
    clients = [client for client in list(_clients) if client.process == os.getpid()]
    began = time.monotonic()
    for client in clients:
        for stream in list(client.streams):
            stream.drain()
    for client in clients:
        finish_streams(client, began)
    failures: list[BaseException] = []
    for client in clients:
        for _ in range(len(client.streams) + 1):
            try:
                client.close()
                break
            except BaseException as error:  # a handler's: printed below
                failures.append(error)
    if failures:
        for failure in failures:
            traceback.print_exception(type(failure), failure, failure.__traceback__)
        logging.shutdown()
        for stream_of_text in (sys.stdout, sys.stderr):
            if stream_of_text is not None:
                stream_of_text.flush()
        os._exit(1)  # the status of a program cannot be changed in any other way at its end


def finish_streams(client: Client, began: float) -> None:
    """Wait until the client's streams are over, as long as there is hope."""
    while time.monotonic() - began < LONGEST_WAIT:
        waiting = [stream for stream in list(client.streams) if not (stream.is_over or stream.is_iterated)]
        moment = time.monotonic()
        if not any(stream.is_half_closed or moment - stream.last_event < QUIET_SECONDS for stream in waiting):
            return
        time.sleep(0.005)
