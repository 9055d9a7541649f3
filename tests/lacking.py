"""A program in a Python that lacks some modules, as one does that was built without what they need.

Arguments: the modules, with commas between, and ``threads``, ``asyncio`` or ``trio``. It makes calls to a server of its
own; on threads, the command line asks that server as well. Of ``ssl``, the part in C lacks too; of ``_hashlib``, that
alone. Where ``threads`` is among the modules, no thread can be started.
"""

from __future__ import annotations

import _thread
import sys
import threading
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType

SAY_HELLO = "hello.HelloService/SayHello"


def is_one_of(name: str, names: set[str]) -> bool:
    """Whether a module is one of them, or inside of one."""
    top = name.partition(".")[0]
    return top in names or top.lstrip("_") in names


class Lacking:
    """Finds none of the modules."""

    def __init__(self, names: set[str]) -> None:
        self.names = names

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        if is_one_of(name, self.names):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return None


def refuse(*_: object, **__: object) -> None:
    """What starting a thread does where there are none."""
    raise RuntimeError("can't start new thread")


def lack(names: set[str]) -> None:
    """From now on, the modules cannot be imported."""
    if "threads" in names:
        for module, name in ((_thread, "start_new_thread"), (threading, "_start_new_thread")):
            setattr(module, name, refuse)
        threading._start_joinable_thread = refuse  # type: ignore[attr-defined]  # from 3.13 on
    for name in list(sys.modules):
        if is_one_of(name, names):
            del sys.modules[name]
    sys.meta_path.insert(0, Lacking(names))


def on_threads() -> None:
    """A client and a server of threads."""
    from puregrpc import BlockingServer, Client, Stream
    from puregrpc.__main__ import main
    from puregrpc.services.demo import add_demo_services

    server = BlockingServer("127.0.0.1:0")
    add_demo_services(server)
    with Client() as client:
        client.connect(server.start()[0], plaintext=True, reflect=True)
        print(client.invoke(SAY_HELLO, {"greeting": "Bert"}).message)
        stream = Stream(client, "hello.HelloService/BidiHello")
        stream.write({"greeting": "Ada"})
        stream.end()
        print(list(stream))
    sys.stdout.flush()
    address = server.addresses[0]
    for command in (["list", "-p", address, "hello.HelloService"], ["call", "-p", address, SAY_HELLO, "-d", "{}"]):
        if status := main(command):
            sys.exit(status)
    server.stop(0).wait()


async def on_a_loop() -> None:
    """The same on the loop that runs."""
    from puregrpc import AsyncClient, Server
    from puregrpc.services.demo import add_demo_services

    server = Server("127.0.0.1:0")
    add_demo_services(server)
    async with server, AsyncClient() as client:
        await client.connect(server.addresses[0], plaintext=True, reflect=True)
        print((await client.invoke(SAY_HELLO, {"greeting": "Bert"})).message)
        stream = client.stream("hello.HelloService/BidiHello")
        await stream.write({"greeting": "Ada"})
        await stream.end()
        print([message async for message in stream])


def on_asyncio() -> None:
    """The same on asyncio."""
    import asyncio

    asyncio.run(on_a_loop())


def on_trio() -> None:
    """The same on trio."""
    import trio

    trio.run(on_a_loop)


if __name__ == "__main__":
    lack(set(sys.argv[1].split(",")))
    {"threads": on_threads, "asyncio": on_asyncio, "trio": on_trio}[sys.argv[2]]()
