"""The shop on puregrpc and asyncio: ``python -m conformance.fuzz.zoo.puregrpc_shop PORT FAULT``, ``sound`` for none."""

from __future__ import annotations

import asyncio
import contextlib
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from puregrpc.schema import Registry, load_files
from puregrpc.server import Context, Server
from puregrpc.services import ReflectionService

INVALID_ARGUMENT = 3


class Shop:
    """The methods; ``fault`` names what is wrong with them."""

    def __init__(self, fault: str) -> None:
        self.fault = fault
        self.lock = asyncio.Lock()
        self.room = asyncio.Semaphore(20)
        self.kept: list[Any] = []
        self.shared: dict[str, Any] = {}

    async def get_item(self, request: dict[str, Any], context: Context) -> dict[str, Any]:
        item: dict[str, Any] = {"id": request["id"], "title": "rose", "price": 1.5, "color": request["color"]}
        if len(request["id"]) > 1000:
            context.abort(INVALID_ARGUMENT, "id: at most 1000 characters")
        if self.fault == "shared-answer":
            self.shared.update(item)
            await asyncio.sleep(0)
            return self.shared
        if self.fault == "room-is-lost":
            await self.room.acquire()
            await asyncio.sleep(0.003)
            self.room.release()
        if self.fault == "blocks-the-loop" and request["id"].startswith("a" * 33):
            time.sleep(30)  # noqa: ASYNC251 - the fault
        if self.fault == "tasks-stay":
            self.kept.append(asyncio.create_task(_forever(bytearray(100_000))))
        return item

    async def list_items(self, request: dict[str, Any], context: Context) -> dict[str, Any]:
        if request["pageSize"] < 0:
            context.abort(INVALID_ARGUMENT, "page_size: not below 0")
        items = [{"id": str(number), "title": "rose"} for number in range(min(request["pageSize"], 20))]
        return {"items": items, "next_page_token": "MTAw"}

    async def quote(self, request: dict[str, Any], context: Context) -> dict[str, Any]:
        if self.fault == "lock-kept-on-refusal":
            await self.lock.acquire()
        total = 0.0
        for line in request["lines"]:
            if not 0 < line["quantity"] < 1_000_000:
                context.abort(INVALID_ARGUMENT, "quantity: out of range")
            total += 9.99 * line["quantity"]
        if self.fault == "lock-kept-on-refusal":
            self.lock.release()
        city = request["address"]["city"] if request["address"] is not None else ""
        return {"total": total, "lines": len(request["lines"]), "text": city[:1000]}

    async def watch(self, request: dict[str, Any], context: Context) -> AsyncIterator[dict[str, Any]]:
        if not 0 <= request["count"] <= 1000 or len(request["prefix"]) > 1000:
            context.abort(INVALID_ARGUMENT, "count: 0 to 1000; prefix: at most 1000 characters")
        for number in range(request["count"]):
            yield {"id": f"{request['prefix']}{number}"}

    async def upload(self, requests: AsyncIterator[dict[str, Any]], context: Context) -> dict[str, Any]:
        size = chunks = 0
        async for chunk in requests:
            size += len(chunk["data"])
            chunks += 1
        return {"size": size, "chunks": chunks}

    async def chat(self, requests: AsyncIterator[dict[str, Any]], context: Context) -> AsyncIterator[dict[str, Any]]:
        async for line in requests:
            if len(line["text"]) > 1000:
                context.abort(INVALID_ARGUMENT, "text: at most 1000 characters")
            yield {"text": line["text"], "number": line["number"]}


async def _forever(_room: bytearray) -> None:
    with contextlib.suppress(asyncio.CancelledError):
        await asyncio.Event().wait()


async def main(port: int, fault: str) -> None:
    """Serve for ever."""
    registry = Registry()
    load_files(registry, [Path(__file__).parent], "shop.proto")
    server = Server(f"127.0.0.1:{port}")
    server.add_service(registry.service("shop.v1.Shop"), Shop(fault))
    ReflectionService().add_to(server)
    await server.serve()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), sys.argv[2]))
