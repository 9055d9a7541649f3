"""The orders on grpcio: ``python -m conformance.fuzz.zoo.grpcio_orders PORT FAULT``, ``sound`` for none."""

from __future__ import annotations

import base64
import os
import sys
import threading
import time
import unicodedata
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
from google.protobuf import descriptor_pb2
from grpc_reflection.v1alpha import reflection

from conformance.fuzz.zoo.reflected import REFLECTION, file_of, pool_of
from puregrpc import protos

PROTO = Path(__file__).with_name("orders.proto")
pb: Any = protos(PROTO)
SERVICE = "orders.v1.Orders"
MOST_KEPT = 500
RING = 16


class Orders:
    """The methods; ``fault`` names what is wrong with them."""

    def __init__(self, fault: str) -> None:
        self.fault = fault
        self.orders: dict[str, Any] = {}
        self.by_prefix: dict[str, Any] = {}
        self.first, self.second = threading.Lock(), threading.Lock()
        self.counters: dict[str, bytes] = {}
        self.answers: dict[str, bytes] = {}
        self.count = 0
        self.trailers: list[tuple[str, str]] = []
        self.customers: set[str] = set()

    def create_order(self, request: Any, context: grpc.ServicerContext) -> Any:
        fault = self.fault
        if fault == "label-for-each-value":
            for name, value in context.invocation_metadata():
                self.counters.setdefault(f"{name}={value}", os.urandom(100_000))
        if fault == "metadata-twice":
            names = [name for name, _ in context.invocation_metadata()]
            if len(set(names)) < len(names):
                raise KeyError(max(names, key=names.count))
        if fault == "sixty-fields":
            (b"\0" * 60)[len(context.invocation_metadata())]
        if fault == "time-left":
            int((context.time_remaining() or 0) * 1000).to_bytes(5, "big")
        if fault == "ring-of-sixteen":
            ring = [""] * RING
            for place, line in enumerate(request.lines[: RING + 1]):
                ring[place] = line.sku
        if fault == "lines-twice" and len({line.sku for line in request.lines}) < len(request.lines):
            raise KeyError("sku")
        if fault == "slot-backwards":
            [0, 1][0 if request.slot.seconds >= 0 else 7]
        if fault == "discount-is-a-name":
            for name in request.discounts:
                getattr(request, name)
        if fault == "normalised":
            customer = unicodedata.normalize("NFKC", request.customer)
            if len(customer.encode()) > 3 * max(len(request.customer.encode()), 1):
                os.abort()
        if len(request.lines) > 1000 or len(request.customer) > 1000:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, "lines, customer: at most 1000")
        if fault == "twin-locks":
            with self.first:
                time.sleep(0.001)
                with self.second:
                    pass
        if fault == "names-in-trailers":
            context.set_trailing_metadata((("x-customer", request.customer),))
        if fault == "trailers-that-grow":
            self.trailers.append(("x-seen", f"order-{self.count}"))
            context.set_trailing_metadata(tuple(self.trailers))
        if fault == "same-customer-twice" and len(request.customer) > 40:
            if request.customer in self.customers:
                raise KeyError(request.customer)
            self.customers.add(request.customer)
        ends = 0
        if fault == "due-is-late":
            ends = request.due.ToDatetime().year
        self.count += 1
        number = f"order-{self.count:08d}"
        order = pb.Order(id=number, customer=request.customer, lines=len(request.lines), ends=ends)
        self.orders[number] = order
        while len(self.orders) > MOST_KEPT:
            self.orders.pop(next(iter(self.orders)), None)
        return order

    def get_order(self, request: Any, context: grpc.ServicerContext) -> Any:
        fault = self.fault
        if fault == "twin-locks":
            with self.second:
                time.sleep(0.001)
                with self.first:
                    pass
        if fault == "answer-for-each-id":
            self.answers.setdefault(request.id, os.urandom(60_000))
        order = self.orders.get(request.id)
        if fault == "cached-by-prefix" and order is not None:
            order = self.by_prefix.setdefault(request.id[:12], order)
        if order is None:
            context.abort(grpc.StatusCode.NOT_FOUND, "no such order")
        return order

    def list_orders(self, request: Any, context: grpc.ServicerContext) -> Any:
        start = 0
        if request.page_token:
            try:
                start = int(base64.b64decode(request.page_token, validate=True))
            except ValueError:
                context.abort(grpc.StatusCode.INVALID_ARGUMENT, "page_token: none of ours")
            if self.fault == "page-of-none":
                start // request.page_size
        if self.fault == "sorted-by-anything" and request.order_by:
            getattr(pb.Order(), request.order_by)
        if not 0 <= request.page_size <= 1000 or not 0 <= start < 1 << 40:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, "page_size: 0 to 1000")
        found = list(self.orders.values())[start : start + min(request.page_size, 5)]
        token = base64.b64encode(b"%d" % (start + max(len(found), 1))).decode()
        return pb.ListOrdersResponse(orders=found, next_page_token=token)

    def render(self, request: Any, context: grpc.ServicerContext) -> Any:
        fault, values = self.fault, list(request.values[:1000])
        if fault == "not-a-number":
            sorted(int(value) if abs(value) < 1e300 or value != value else 0 for value in values)
        if fault == "template":
            return pb.Rendered(text=request.template[:100].format(customer="a"))
        if fault == "padded":
            return pb.Rendered(text=request.template[:10].ljust(min(request.width, 1 << 28)))
        if fault == "two-to-the-power":
            return pb.Rendered(text=str((3 ** min(request.width, 3_000_000)) % 10))
        return pb.Rendered(text=request.template[:100], total=len(values))

    def track(self, request: Any, context: grpc.ServicerContext) -> Iterator[Any]:
        if request.events > 1000:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, "events: at most 1000")
        if self.fault == "goes-on-when-cancelled":
            stopped = threading.Event()

            def goes_on() -> None:
                while not stopped.wait(0.001):
                    sum(range(20_000))

            threading.Thread(target=goes_on, daemon=True).start()
            for number in range(request.events + 3):
                if not context.is_active():
                    return
                time.sleep(0.002)
                yield pb.Event(number=number, text="packed")
            stopped.set()
            return
        for number in range(request.events):
            yield pb.Event(number=number, text="packed")

    def upload(self, requests: Iterator[Any], context: grpc.ServicerContext) -> Any:
        samples, total, before = 0, 0.0, None
        for sample in requests:
            if self.fault == "second-of-a-stream" and samples == 1:
                os.abort()
            if self.fault == "steps-of-nothing" and before is not None:
                total += 1 // (sample.at - before)
            if self.fault == "two-hundred-samples":
                bytes((samples + 56,))
            before = sample.at
            samples += 1
        if self.fault == "no-samples" and not samples:
            total = total / samples
        return pb.Stats(samples=samples)

    def merge(self, requests: Iterator[Any], context: grpc.ServicerContext) -> Iterator[Any]:
        last = -(1 << 63)
        for change in requests:
            if self.fault == "revision-must-grow" and change.revision == last:
                raise AssertionError("revision")
            last = change.revision
            if self.fault == "ends-in-silence" and change.revision < 0:
                threading.Event().wait(30)
            yield pb.Change(revision=change.revision, text=change.text[:1000])


def _reflect(fault: str, server: Any) -> None:
    pool = pool_of("google/protobuf/duration.proto", "google/protobuf/timestamp.proto", REFLECTION)
    file = file_of(pb.DESCRIPTOR)
    if fault == "reflection-lies":
        message = next(each for each in file.message_type if each.name == "Rendered")
        message.field[0].type = descriptor_pb2.FieldDescriptorProto.TYPE_INT64
    pool.Add(file)
    reflection.enable_server_reflection((SERVICE, reflection.SERVICE_NAME), server, pool=pool)


def main(port: int, fault: str) -> None:
    """Serve for ever."""
    orders = Orders(fault)
    server = grpc.server(ThreadPoolExecutor(8))
    handlers = {}
    for name, make, function, request in (
        ("CreateOrder", grpc.unary_unary_rpc_method_handler, orders.create_order, pb.CreateOrderRequest),
        ("GetOrder", grpc.unary_unary_rpc_method_handler, orders.get_order, pb.GetOrderRequest),
        ("ListOrders", grpc.unary_unary_rpc_method_handler, orders.list_orders, pb.ListOrdersRequest),
        ("Render", grpc.unary_unary_rpc_method_handler, orders.render, pb.RenderRequest),
        ("Track", grpc.unary_stream_rpc_method_handler, orders.track, pb.TrackRequest),
        ("Upload", grpc.stream_unary_rpc_method_handler, orders.upload, pb.Sample),
        ("Merge", grpc.stream_stream_rpc_method_handler, orders.merge, pb.Change),
    ):
        handlers[name] = make(function, request.FromString, lambda message: message.SerializeToString())
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, handlers),))
    _reflect(fault, server)
    server.add_insecure_port(f"127.0.0.1:{port}")
    server.start()
    server.wait_for_termination()


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
