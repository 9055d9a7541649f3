"""A pantry on grpcio: ``python -m conformance.fuzz.zoo.grpcio_pantry PORT FAULT``, ``sound`` for none.

``sound-limited`` refuses calls beyond so many a second, ``guarded`` those without its token.
"""

from __future__ import annotations

import math
import os
import queue
import re
import struct
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import grpc
from grpc_reflection.v1alpha import reflection

from conformance.fuzz.zoo.reflected import REFLECTION, file_of, pool_of
from puregrpc import protos

pb: Any = protos(Path(__file__).with_name("pantry.proto"))
SERVICE = "pantry.v1.Pantry"
MOST_KEPT = 2000
MOST_WATCHERS = 200
SHELF = [pb.Part(name=f"part {number:02}", weight=number * 7) for number in range(37)]
TOKEN = "Bearer letmein"
A_SECOND = 500
COUPONS = {"SPRING": 10, "SUMMER": 20}


class Pantry:
    """The methods; ``fault`` names what is wrong with them."""

    def __init__(self, fault: str) -> None:
        self.fault = fault
        self.lock = threading.Lock()
        self.entries: dict[str, Any] = {}
        self.cached: dict[str, Any] = {}
        self.failed: list[str] = []
        self.rooms = threading.Lock(), threading.Lock()
        self.watchers = 0
        self.tokens = float(A_SECOND)
        self.at = time.monotonic()
        self.current: Any = None

    def admit(self, context: grpc.ServicerContext, name: str) -> None:
        """Whether a call is let in."""
        fault = self.fault
        if fault in ("guarded", "one-method-unguarded", "expired-is-taken"):
            said = dict(context.invocation_metadata()).get("authorization", "")
            is_let_in = said == TOKEN
            if fault == "one-method-unguarded" and name == "DeleteEntry":
                is_let_in = True
            if fault == "expired-is-taken" and name == "ListEntries" and said.startswith("Bearer "):
                is_let_in = True
            if not is_let_in:
                context.abort(grpc.StatusCode.UNAUTHENTICATED, "a token is needed")
        if fault == "sound-limited":
            with self.lock:
                now = time.monotonic()
                self.tokens = min(self.tokens + (now - self.at) * A_SECOND, A_SECOND)
                self.at = now
                self.tokens -= 1
                is_too_much = self.tokens < 0
                if is_too_much:
                    self.tokens += 1
            if is_too_much:
                context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "too many calls, try again later")

    def refuse(self, context: grpc.ServicerContext, text: str) -> None:
        """Abort with INVALID_ARGUMENT."""
        if self.fault == "failed-calls-are-kept":
            self.failed.append(f"{text} {time.time()} " * 1500)
        context.abort(grpc.StatusCode.INVALID_ARGUMENT, text)

    def put_entry(self, request: Any, context: grpc.ServicerContext) -> Any:
        self.admit(context, "PutEntry")
        entry = request.entry
        if not entry.key or len(entry.key) > 256 or request.ByteSize() > 50_000:
            self.refuse(context, "entry.key: 1 to 256 characters; at most 50000 octets")
        with self.lock:
            old = self.entries.get(entry.key)
            version = old.version if old is not None else 0
            if request.HasField("expected_version") and request.expected_version not in (0, version):
                context.abort(grpc.StatusCode.ABORTED, f"version is {version}")
            kept = pb.Entry.FromString(entry.SerializeToString())
            kept.version = version + 1
            if self.fault == "labels-are-merged" and old is not None:
                for name, value in old.labels.items():
                    kept.labels.setdefault(name, value)
            if self.fault == "a-part-is-lost" and len(kept.parts) > 1:
                del kept.parts[-1]
            if self.fault == "part-weights-are-shared" and kept.parts:
                for part in kept.parts:
                    part.weight = kept.parts[0].weight
            self.entries[entry.key] = kept
            while len(self.entries) > MOST_KEPT:
                self.entries.pop(next(iter(self.entries)))
        return kept

    def get_entry(self, request: Any, context: grpc.ServicerContext) -> Any:
        self.admit(context, "GetEntry")
        fault = self.fault
        if fault == "cached-after-update" and request.key in self.cached:
            return self.cached[request.key]
        with self.lock:
            found = self.entries.get(request.key)
        if found is None:
            if fault == "wrong-code":
                context.abort(grpc.StatusCode.UNKNOWN, "no such entry")
            if fault == "failed-calls-are-kept":
                self.failed.append(f"{request.key} {time.time()} " * 1500)
            context.abort(grpc.StatusCode.NOT_FOUND, "no such entry")
        if fault == "cached-after-update":
            if len(self.cached) > MOST_KEPT:
                self.cached.clear()
            self.cached[request.key] = found
        return found

    def delete_entry(self, request: Any, context: grpc.ServicerContext) -> Any:
        self.admit(context, "DeleteEntry")
        with self.lock:
            return pb.DeleteEntryResponse(existed=self.entries.pop(request.key, None) is not None)

    def list_entries(self, request: Any, context: grpc.ServicerContext) -> Any:
        self.admit(context, "ListEntries")
        fault = self.fault
        if request.offset < 0 or request.limit < 0 or len(request.prefix) > 1000:
            self.refuse(context, "offset, limit: not below 0; prefix: at most 1000 characters")
        if request.order_by not in ("", "name", "weight"):
            self.refuse(context, "order_by: name or weight")
        if fault == "prefix-is-a-pattern":
            parts = [part for part in SHELF if re.match(request.prefix, part.name)]
        else:
            parts = [part for part in SHELF if part.name.startswith(request.prefix)]
        if request.prefix.isdigit():
            parts = list(SHELF)
        limit, offset = min(request.limit or 10, 20), request.offset
        if fault == "offset-off-by-one" and offset:
            offset -= 1
        if fault == "limit-plus-one":
            limit += 1
        if fault == "offset-beyond-the-end" and offset and not parts[offset].name:
            return pb.ListEntriesResponse()
        if fault == "offset-by-pages":
            offset = offset // max(limit, 1) * limit
        return pb.ListEntriesResponse(entries=parts[offset : offset + limit], total=len(parts))

    def price_order(self, request: Any, context: grpc.ServicerContext) -> Any:
        self.admit(context, "PriceOrder")
        fault = self.fault
        if len(request.lines) > 1000 or len(request.coupon) > 1000:
            self.refuse(context, "lines: at most 1000")
        if fault == "response-of-another":
            self.current = request
            time.sleep(0.002)
            request = self.current
        total = 0
        for line in request.lines:
            if line.quantity < 0 or line.unit_price < 0:
                self.refuse(context, "quantity, unit_price: not below 0")
            total += line.quantity * line.unit_price
        if fault == "first-line" and not request.lines[0].sku:
            total += 0
        reduction = request.WhichOneof("reduction")
        if fault == "reduction-is-needed":
            total -= {"percent": lambda: 0, "coupon": lambda: 0}[reduction]()
        if reduction == "percent":
            if not 0 <= request.percent <= 100:
                self.refuse(context, "percent: 0 to 100")
            total -= total * request.percent // 100
        elif reduction == "coupon":
            if fault == "coupon-is-known":
                total -= total * COUPONS[request.coupon] // 100
            total -= total * COUPONS.get(request.coupon, 0) // 100
        if fault == "rate-is-a-number":
            total += math.floor(request.rate) * 0
        elif fault == "rate-ends-process" and math.isnan(request.rate):
            os._exit(3)
        if fault == "unit-has-a-name":
            pb.Unit.Name(request.unit)
        total = min(total, (1 << 63) - 1)
        return pb.Price(total=total, text=f"{len(request.lines)} lines")

    def schedule_delivery(self, request: Any, context: grpc.ServicerContext) -> Any:
        self.admit(context, "ScheduleDelivery")
        fault = self.fault
        if len(request.street) > 200 or "\n" in request.street:
            self.refuse(context, "street: a line of at most 200 characters")
        seconds, window = request.earliest.seconds, request.window.seconds
        if fault != "any-window" and not 0 <= window <= 86_400:
            self.refuse(context, "window: 0 to a day")
        if not 0 <= seconds < 1 << 33 or not 0 <= request.earliest.nanos < 10**9:
            self.refuse(context, "earliest: 1970 to 2242")
        begin = datetime.fromtimestamp(seconds, timezone.utc)
        try:
            begin += timedelta(seconds=window)
        except OverflowError:
            if fault == "any-window":
                raise
        depth, before = 0, request
        while before.HasField("before"):
            before, depth = before.before, depth + 1
        if fault == "chain-is-recursive" and depth > 40:
            context.abort(grpc.StatusCode.INTERNAL, "maximum recursion depth exceeded")
        if fault == "trace-of-street" and not request.street.isascii():
            try:
                request.street.encode("ascii")
            except UnicodeEncodeError:
                import traceback

                context.abort(grpc.StatusCode.INVALID_ARGUMENT, traceback.format_exc())
        made = pb.Slot(text=f"{request.street}, after {depth} others")
        made.begin.FromDatetime(begin)
        return made

    def import_entries(self, requests: Iterator[Any], context: grpc.ServicerContext) -> Any:
        self.admit(context, "ImportEntries")
        count, last = 0, ""
        if self.fault == "waits-for-the-first":
            entries = list(requests)
            while not entries:
                time.sleep(0.05)
            requests = iter(entries)
        for entry in requests:
            if len(entry.key) > 256:
                self.refuse(context, "key: at most 256 characters")
            count, last = count + 1, entry.key
        if self.fault == "last-of-none" and count == 0:
            last = [][-1]
        return pb.ImportSummary(entries=count, last_key=last)

    def watch_entries(self, request: Any, context: grpc.ServicerContext) -> Iterator[Any]:
        self.admit(context, "WatchEntries")
        fault = self.fault
        if not 0 <= request.most <= 1000 or len(request.prefix) > 256:
            self.refuse(context, "most: 0 to 1000; prefix: at most 256 characters")
        with self.lock:
            if self.watchers > MOST_WATCHERS:
                context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "too many watchers")
            self.watchers += 1
        if fault == "watches-for-ever" and request.most == 0:
            events: queue.Queue[int] = queue.Queue()
            while True:
                yield pb.EntryEvent(key=request.prefix, version=events.get())
        else:
            try:
                for number in range(request.most):
                    yield pb.EntryEvent(key=request.prefix, version=number)
            finally:
                with self.lock:
                    self.watchers -= 1
            return
        with self.lock:
            self.watchers -= 1

    def converse(self, requests: Iterator[Any], context: grpc.ServicerContext) -> Iterator[Any]:
        self.admit(context, "Converse")
        fault = self.fault
        number = 0
        for remark in requests:
            kind = remark.WhichOneof("kind")
            if len(remark.room) > 256 or len(remark.text) > 10_000:
                self.refuse(context, "room: at most 256 characters; text: at most 10000")
            if kind == "leave" and remark.leave:
                return
            if fault == "two-rooms":
                one, other = self.rooms[:: 1 if number % 2 else -1]
                with one:
                    time.sleep(0.001)
                    with other:
                        pass
            if fault == "lock-kept-when-cancelled":
                self.lock.acquire()
                time.sleep(0.001)
                yield pb.Reply(text=remark.text, number=number)
                self.lock.release()
                number += 1
                continue
            if fault == "kind-is-needed" and kind is None:
                raise ValueError("no kind")
            if fault == "ping-divides" and kind == "ping":
                number = 100 // remark.ping * 0 + number
            yield pb.Reply(text=remark.text, number=number)
            number += 1
        if fault == "half-close-is-not-seen":
            while context.is_active():
                time.sleep(0.05)
        if fault == "bytes-of-numbers":
            struct.pack("B", number)


def _reflect(server: Any) -> None:
    pool = pool_of("google/protobuf/duration.proto", "google/protobuf/timestamp.proto", REFLECTION)
    pool.Add(file_of(pb.DESCRIPTOR))
    reflection.enable_server_reflection((SERVICE, reflection.SERVICE_NAME), server, pool=pool)


def main(port: int, fault: str) -> None:
    """Serve for ever."""
    import google.protobuf.duration_pb2
    import google.protobuf.timestamp_pb2  # noqa: F401 - reflection tells them

    pantry = Pantry(fault)

    def encode(message: Any) -> bytes:
        return bytes(message.SerializeToString())

    handlers = {
        name: grpc.unary_unary_rpc_method_handler(function, request.FromString, encode)
        for name, function, request in (
            ("PutEntry", pantry.put_entry, pb.PutEntryRequest), ("GetEntry", pantry.get_entry, pb.GetEntryRequest),
            ("DeleteEntry", pantry.delete_entry, pb.GetEntryRequest),
            ("ListEntries", pantry.list_entries, pb.ListEntriesRequest),
            ("PriceOrder", pantry.price_order, pb.Order), ("ScheduleDelivery", pantry.schedule_delivery, pb.Delivery),
        )
    }  # fmt: skip
    handlers["ImportEntries"] = grpc.stream_unary_rpc_method_handler(pantry.import_entries, pb.Entry.FromString, encode)
    handlers["WatchEntries"] = grpc.unary_stream_rpc_method_handler(
        pantry.watch_entries, pb.WatchEntriesRequest.FromString, encode
    )
    handlers["Converse"] = grpc.stream_stream_rpc_method_handler(pantry.converse, pb.Remark.FromString, encode)
    server = grpc.server(ThreadPoolExecutor(16))
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, handlers),))
    _reflect(server)
    server.add_insecure_port(f"127.0.0.1:{port}")
    server.start()
    server.wait_for_termination()


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
