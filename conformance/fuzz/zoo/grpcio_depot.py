"""A depot on grpcio: ``python -m conformance.fuzz.zoo.grpcio_depot PORT FAULT``, ``sound`` for none."""

from __future__ import annotations

import json
import re
import struct
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from decimal import Context, Decimal
from html import escape
from pathlib import Path
from typing import Any

import grpc
from grpc_reflection.v1alpha import reflection

from conformance.fuzz.zoo.reflected import REFLECTION, file_of, pool_of
from puregrpc import protos

pb: Any = protos(Path(__file__).with_name("depot.proto"))
SERVICE = "depot.v1.Depot"
MOST_KEPT = 2000
SHELVES = [pb.Shelf(name=f"shelf {number}", room=number // 4) for number in range(23)]
PLACES = 20
DECIMALS = Context(prec=15)


class Depot:
    """The methods; ``fault`` names what is wrong with them."""

    def __init__(self, fault: str) -> None:
        self.fault = fault
        self.lock = threading.Lock()
        self.parcels: dict[str, Any] = {}
        self.visits = 0
        self.printed = bytearray()
        self.callers: dict[str, str] = {}
        self.places = threading.BoundedSemaphore(PLACES)
        self.reserved: set[str] = set()

    def put_parcel(self, request: Any, context: grpc.ServicerContext) -> Any:
        if len(request.id) > 1000 or request.ByteSize() > 20_000:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, "too long")
        parcel = pb.Parcel.FromString(request.SerializeToString())
        fault = self.fault
        if fault == "quotes-are-escaped":
            parcel.label = escape(parcel.label)
        elif fault == "beyond-the-plane":
            parcel.label = re.sub("[^\0-\uffff]", "?", parcel.label)
        elif fault == "hold-in-milliseconds":
            parcel.hold.nanos -= parcel.hold.nanos % 1_000_000
        elif fault == "nothing-before-1970":
            parcel.sent.seconds = max(parcel.sent.seconds, 0)
        elif fault == "presence-is-lost" and not parcel.floor:
            parcel.ClearField("floor")
        elif fault == "unknown-priority-is-none" and parcel.priority not in pb.Priority.values():
            parcel.priority = 0
        elif fault == "single-precision" and abs(parcel.value) < 1e38:
            parcel.value = struct.unpack("<f", struct.pack("<f", parcel.value))[0]
        elif fault == "seal-as-text":
            parcel.seal = parcel.seal.decode("utf-8", "replace").encode()
        elif fault == "notes-without-names" and "" in parcel.notes:
            del parcel.notes[""]
        elif fault == "tags-in-order":
            parcel.tags.sort(reverse=True)
        elif fault == "weight-from-decimals":
            parcel.weight = int(Decimal(parcel.weight).normalize(DECIMALS)) if abs(parcel.weight) < 1 << 62 else 0
        elif fault == "key-of-the-refused":
            if parcel.id in self.reserved:
                context.abort(grpc.StatusCode.ALREADY_EXISTS, "is being put")
            self.reserved.add(parcel.id)
            if not parcel.label or "\n" in parcel.label:
                context.abort(grpc.StatusCode.INVALID_ARGUMENT, "label: one line")
            self.reserved.discard(parcel.id)
        is_new = parcel.id not in self.parcels
        self.parcels[parcel.id] = parcel
        while len(self.parcels) > MOST_KEPT:
            self.parcels.pop(next(iter(self.parcels)), None)
        return pb.PutParcelResponse(is_new=is_new)

    def get_parcel(self, request: Any, context: grpc.ServicerContext) -> Any:
        found = self.parcels.get(request.id)
        if found is None:
            context.abort(grpc.StatusCode.NOT_FOUND, "no such parcel")
        return found

    def list_shelves(self, request: Any, context: grpc.ServicerContext) -> Any:
        try:
            begin = int(request.page_token or "0")
        except ValueError:
            begin = -1
        if begin < 0 or request.page_size < 0 or len(request.page_token) > 20:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, "page_size, page_token: not below 0")
        size = min(request.page_size or 10, 10)
        end = begin + size
        page = SHELVES[begin:end]
        if self.fault == "page-loses-one" and begin:
            page = page[1:]
        if self.fault == "page-repeats-one":
            end -= end > 1
        token = str(end) if end < len(SHELVES) and page else ""
        if self.fault == "last-page-is-missing" and end + size > len(SHELVES):
            token = ""
        return pb.ListShelvesResponse(shelves=page, next_page_token=token)

    def visit(self, request: Any, context: grpc.ServicerContext) -> Any:
        if len(request.gate) > 1000:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, "gate: at most 1000 characters")
        if self.fault == "visits-are-lost":
            visits = self.visits
            time.sleep(0.0005)
            self.visits = visits + 1
            return pb.VisitResponse(visits=visits + 1, gate=request.gate)
        with self.lock:
            self.visits += 1
            return pb.VisitResponse(visits=self.visits, gate=request.gate)

    def print_label(self, request: Any, context: grpc.ServicerContext) -> Any:
        fault = self.fault
        if len(request.text) > 5000 or len(request.style) > 5000:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, "text, style: at most 5000 characters")
        text = request.text
        if fault == "paper-of-the-last-one":
            with self.lock:
                octets = text.encode()
                self.printed[: len(octets)] = octets
                text = self.printed.decode("utf-8", "ignore")
                if len(self.printed) > 200:
                    self.printed.clear()
        if fault == "caller-of-the-connection":
            said = next((str(value) for name, value in context.invocation_metadata() if name == "x-user"), "")
            text = f"{text} for {self.callers.setdefault(context.peer(), said) or 'you'}"
            while len(self.callers) > MOST_KEPT:
                self.callers.pop(next(iter(self.callers)), None)
        if fault == "style-is-json" and request.style.startswith(("[", "{")):
            try:
                json.loads(request.style)
            except ValueError:
                context.abort(grpc.StatusCode.INVALID_ARGUMENT, "style: not JSON")
        if fault == "style-is-a-format" and "%" in request.style:
            text = request.style % text
        if fault == "style-is-a-number" and request.style.isnumeric():
            text = text[: int(request.style)]
        if fault == "columns-count-down":
            columns = request.columns
            while columns != 0:
                columns -= 7 if columns > 6 else 1
        if fault == "words-of-a-line":
            word = max(text.split(), key=len)
            text = text if len(word) < 5000 else ""
        return pb.PrintedLabel(text=text)

    def compare(self, request: Any, context: grpc.ServicerContext) -> Any:
        one, other = request.one, request.other
        most = 20_000 if self.fault == "distance-of-anything" else 60
        row = list(range(len(one[:most]) + 1))
        for number, character in enumerate(other[:most]):
            before, row[0] = row[0], number + 1
            for at, each in enumerate(one[:most]):
                before, row[at + 1] = row[at + 1], min(row[at] + 1, row[at + 1] + 1, before + (each != character))
        return pb.CompareResponse(distance=row[-1])

    def reserve(self, request: Any, context: grpc.ServicerContext) -> Any:
        if len(request.shelf) > 1000 or not 0 <= request.places <= PLACES:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, "shelf: at most 1000 characters; places: 0 to 20")
        if self.fault == "places-one-by-one":
            # Who has some waits for the others, and so does everybody else.
            for _ in range(min(request.places, 10)):
                self.places.acquire()
                time.sleep(0.0005)
            for _ in range(min(request.places, 10)):
                self.places.release()
        return pb.Reservation(places=request.places, shelf=request.shelf)

    def take_inventory(self, requests: Iterator[Any], context: grpc.ServicerContext) -> Any:
        lines = count = 0
        for line in requests:
            lines += 1
            count += line.count
            if self.fault == "last-line-is-empty" and not line.item and not line.count:
                break
        if self.fault == "lines-in-a-byte":
            lines &= 0xFF
        if self.fault == "count-in-32-bits":
            struct.pack("<i", count)
        if self.fault == "average-of-lines":
            count //= lines
        return pb.Inventory(lines=lines, count=max(-(1 << 63), min(count, (1 << 63) - 1)))

    def watch_shelf(self, request: Any, context: grpc.ServicerContext) -> Iterator[Any]:
        if not 0 <= request.events <= 100 or len(request.shelf) > 1000:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, "events: 0 to 100; shelf: at most 1000 characters")
        for number in range(request.events):
            yield pb.ShelfEvent(text=f"{request.shelf} {number}")


def _reflect(server: Any) -> None:
    pool = pool_of("google/protobuf/duration.proto", "google/protobuf/timestamp.proto", REFLECTION)
    pool.Add(file_of(pb.DESCRIPTOR))
    reflection.enable_server_reflection((SERVICE, reflection.SERVICE_NAME), server, pool=pool)


def main(port: int, fault: str) -> None:
    """Serve for ever."""
    import google.protobuf.duration_pb2
    import google.protobuf.timestamp_pb2  # noqa: F401 - reflection tells them

    depot = Depot(fault)

    def encode(message: Any) -> bytes:
        return bytes(message.SerializeToString())

    handlers = {}
    for name, function, request in (
        ("PutParcel", depot.put_parcel, pb.Parcel), ("GetParcel", depot.get_parcel, pb.GetParcelRequest),
        ("ListShelves", depot.list_shelves, pb.ListShelvesRequest), ("Visit", depot.visit, pb.VisitRequest),
        ("PrintLabel", depot.print_label, pb.Label), ("Compare", depot.compare, pb.CompareRequest),
        ("Reserve", depot.reserve, pb.ReserveRequest),
    ):  # fmt: skip
        handlers[name] = grpc.unary_unary_rpc_method_handler(function, request.FromString, encode)
    handlers["TakeInventory"] = grpc.stream_unary_rpc_method_handler(
        depot.take_inventory, pb.InventoryLine.FromString, encode
    )
    handlers["WatchShelf"] = grpc.unary_stream_rpc_method_handler(
        depot.watch_shelf, pb.WatchShelfRequest.FromString, encode
    )
    server = grpc.server(ThreadPoolExecutor(16))
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, handlers),))
    _reflect(server)
    server.add_insecure_port(f"127.0.0.1:{port}")
    server.start()
    server.wait_for_termination()


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
