"""The shop on grpcio: ``python -m conformance.fuzz.zoo.grpcio_shop PORT FAULT``, where the fault ``sound`` is none."""

from __future__ import annotations

import os
import re
import struct
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import grpc

from puregrpc import protos

pb: Any = protos(Path(__file__).with_name("shop.proto"))
SERVICE = "shop.v1.Shop"
TITLES = {1: "rose", 2: "fern"}
TOKEN = "Bearer letmein"


class Shop:
    """The methods; ``fault`` names what is wrong with them."""

    def __init__(self, fault: str) -> None:
        self.fault = fault
        self.lock = threading.Lock()
        self.kept: list[bytes] = []
        self.last_title = "rose"

    def get_item(self, request: Any, context: grpc.ServicerContext) -> Any:
        fault = self.fault
        if fault == "crash-on-long-text" and len(request.id) >= 1024:
            os.abort()
        if fault == "unknown-enum" and request.color not in TITLES and request.color:
            raise KeyError(request.color)
        if fault == "stack-trace" and not request.id.isalnum() and request.id:
            try:
                int(request.id)
            except ValueError:
                context.abort(grpc.StatusCode.INVALID_ARGUMENT, traceback.format_exc())
        if fault == "file-name" and "/" in request.id:
            context.abort(grpc.StatusCode.NOT_FOUND, "no row in /var/lib/shop/items.db")
        if fault == "leak":
            self.kept.append(os.urandom(64 << 10))
        if fault == "lock-kept-on-cancel":
            self.lock.acquire()
            time.sleep(0.004)
            if not context.is_active():
                return pb.Item()
            self.lock.release()
        if fault == "state-after-cancel":
            time.sleep(0.004)
            if not context.is_active():
                self.last_title = "weed"
        if "\x00" in request.id:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, "id: no control characters")
        return pb.Item(id=request.id[:100], title=self.last_title, price=1.5, color=request.color)

    def list_items(self, request: Any, context: grpc.ServicerContext) -> Any:
        size = request.page_size
        if self.fault == "crash-on-negative" and size < 0:
            os._exit(139)
        if self.fault == "hang-on-value" and request.page_token == "MTAw":
            threading.Event().wait()
        if self.fault == "allocates" and size > 0:
            bytearray(min(size, 400_000_000))[::4096] = b"x" * len(range(0, min(size, 400_000_000), 4096))
        if self.fault == "slow-pattern" and re.match(r"(a|aa)+$", request.filter[:34]):
            pass
        if size < 0:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, "page_size: not below 0")
        items = [pb.Item(id=str(number), title="rose") for number in range(min(size, 20))]
        return pb.ListItemsResponse(items=items, next_page_token="MTAw")

    def quote(self, request: Any, context: grpc.ServicerContext) -> Any:
        if self.fault == "missing-message" and not request.HasField("address"):
            raise AttributeError("'NoneType' object has no attribute 'city'")
        if self.fault == "integer-overflow":
            struct.pack("<i", request.address.zip)
        if self.fault == "deep-nesting":
            depth, order = 0, request
            while order.HasField("replaces"):
                depth, order = depth + 1, order.replaces
                if depth > 40:
                    os._exit(1)
        total = 0.0
        for line in request.lines:
            if self.fault == "division" and line.quantity == 0:
                raise ZeroDivisionError("division by zero")
            if not 0 < line.quantity < 1_000_000:
                context.abort(grpc.StatusCode.INVALID_ARGUMENT, "quantity: out of range")
            total += 9.99 * line.quantity
        if self.fault == "bad-date" and request.HasField("deliver_at"):
            request.deliver_at.ToDatetime()
        if self.fault == "pair" and request.WhichOneof("payment") == "voucher" and request.address.city:
            raise RuntimeError("no vouchers with an address")
        return pb.QuoteResponse(total=total, lines=len(request.lines), text=request.address.city)

    def watch(self, request: Any, context: grpc.ServicerContext) -> Iterator[Any]:
        if not 0 <= request.count <= 1000:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, "count: 0 to 1000")
        for number in range(request.count):
            yield pb.Item(id=f"{request.prefix[:50]}{number}")

    def upload(self, requests: Iterator[Any], context: grpc.ServicerContext) -> Any:
        size = chunks = 0
        for chunk in requests:
            if self.fault == "offset" and chunk.offset < 0:
                raise IndexError("list index out of range")
            size += len(chunk.data)
            chunks += 1
        return pb.Summary(size=size, chunks=chunks)

    def chat(self, requests: Iterator[Any], context: grpc.ServicerContext) -> Iterator[Any]:
        for line in requests:
            yield pb.Line(text=line.text[:1000], number=line.number)
        if self.fault == "half-close-not-noticed":
            while context.is_active():
                time.sleep(0.1)


class Guard(grpc.ServerInterceptor):  # type: ignore[misc]
    """Lets calls in that bring the token; with a fault, others as well."""

    def __init__(self, fault: str) -> None:
        self.fault = fault

    def intercept_service(self, proceed: Any, details: Any) -> Any:
        if "reflection" in details.method:
            return proceed(details)
        given = dict(details.invocation_metadata).get("authorization", "")
        ok = given == TOKEN
        if self.fault == "any-bearer":
            ok = given.startswith("Bearer ")
        elif self.fault == "internal-header":
            ok = ok or any(name == "x-internal" for name, _ in details.invocation_metadata)
        elif self.fault == "unguarded-method":
            ok = ok or details.method.endswith("/Quote")
        if ok:
            return proceed(details)

        def refuse(request: Any, context: grpc.ServicerContext) -> Any:
            context.abort(grpc.StatusCode.UNAUTHENTICATED, "no")

        handler = proceed(details)
        if handler is not None and handler.request_streaming:
            make = (
                grpc.stream_stream_rpc_method_handler
                if handler.response_streaming
                else grpc.stream_unary_rpc_method_handler
            )
            return make(refuse)
        if handler is not None and handler.response_streaming:
            return grpc.unary_stream_rpc_method_handler(refuse)
        return grpc.unary_unary_rpc_method_handler(refuse)


GUARDED = ("guarded", "any-bearer", "internal-header", "unguarded-method")


def bad_utf8(message: Any) -> bytes:
    """A reply whose title is no UTF-8."""
    encoded: bytes = message.SerializeToString()
    return encoded + b"\x12\x02\xc3\x28"


def main(port: int, fault: str) -> None:
    """Serve for ever."""
    shop = Shop(fault)
    interceptors = [Guard(fault)] if fault in GUARDED else []
    server = grpc.server(ThreadPoolExecutor(4), interceptors=interceptors)
    encode: Callable[[Any], bytes] = lambda message: message.SerializeToString()  # noqa: E731

    def unary(function: Any, request: Any, encoder: Callable[[Any], bytes] = encode) -> Any:
        return grpc.unary_unary_rpc_method_handler(function, request.FromString, encoder)

    handlers = {
        "GetItem": unary(shop.get_item, pb.GetItemRequest, bad_utf8 if fault == "bad-utf8" else encode),
        "ListItems": unary(shop.list_items, pb.ListItemsRequest),
        "Quote": unary(shop.quote, pb.Order),
        "Watch": grpc.unary_stream_rpc_method_handler(shop.watch, pb.WatchRequest.FromString, encode),
        "Upload": grpc.stream_unary_rpc_method_handler(shop.upload, pb.Chunk.FromString, encode),
        "Chat": grpc.stream_stream_rpc_method_handler(shop.chat, pb.Line.FromString, encode),
    }
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, handlers),))
    with suppress(ImportError):
        from grpc_reflection.v1alpha import reflection

        reflection.enable_server_reflection((SERVICE, reflection.SERVICE_NAME), server)
    server.add_insecure_port(f"127.0.0.1:{port}")
    server.start()
    server.wait_for_termination()


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
