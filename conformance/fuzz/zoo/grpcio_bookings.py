"""Bookings on grpcio: ``python -m conformance.fuzz.zoo.grpcio_bookings PORT FAULT``, ``sound`` for none.

``guarded`` and the faults of `GUARDED` refuse calls without the key.
"""

from __future__ import annotations

import base64
import hmac
import math
import os
import re
import secrets
import statistics
import struct
import sys
import threading
import time
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
from google.protobuf.internal import well_known_types
from grpc_reflection.v1alpha import reflection

from conformance.fuzz.zoo.reflected import REFLECTION, file_of, pool_of
from puregrpc import protos

pb: Any = protos(Path(__file__).with_name("bookings.proto"))
SERVICE = "bookings.v1.Bookings"
KEY = "k-12345678"
GUARDED = {"guarded", "key-begins-alike", "lists-for-everybody", "key-in-any-metadata"}
MOST = 500
WORKERS = 12
MOST_PLACES = 60
LANGUAGES = {"en": "en_US", "de": "de_DE"}
Context = Any


class Bookings:
    """The methods; ``fault`` names what is wrong with them."""

    def __init__(self, fault: str) -> None:
        self.fault = fault
        self.lock = threading.Lock()
        self.kept: dict[str, Any] = {}
        self.index: list[str] = []
        self.seen: dict[str, Any] = {}
        self.numbers = 0
        self.refused = 0
        self.open = 0
        self.languages: dict[str, bytes] = {}
        self.history: list[Any] = []
        self.title = ""
        self.subscribers: list[Any] = []
        self.changed = threading.Condition(self.lock)

    def admit(self, context: Context, name: str) -> None:
        """Whether a call is let in."""
        metadata = dict(context.invocation_metadata())
        if self.fault in GUARDED:
            said = str(metadata.get("x-api-key", ""))
            is_let_in = hmac.compare_digest(said.encode(), KEY.encode())
            if self.fault == "key-begins-alike":
                is_let_in = said[:2] == KEY[:2]
            if self.fault == "lists-for-everybody" and name == "ListBookings":
                is_let_in = True
            if self.fault == "key-in-any-metadata":
                is_let_in = is_let_in or "x-forwarded-user" in metadata
            if not is_let_in:
                context.abort(grpc.StatusCode.UNAUTHENTICATED, "a key is needed")
        if self.fault == "trace-parent" and "traceparent" in metadata:
            _, trace, span, _ = str(metadata["traceparent"]).split("-")
            int(trace, 16), int(span, 16)
        if self.fault == "tenant-is-needed":
            tenant = str(metadata.get("x-tenant-id", "a/b"))
            self.title = tenant.split("/", 1)[-1][0]
        if self.fault == "binary-is-text":
            for key, value in context.invocation_metadata():
                if key.endswith("-bin"):
                    bytes(value).decode()

    def refuse(self, context: Context, text: str, code: grpc.StatusCode = grpc.StatusCode.INVALID_ARGUMENT) -> None:
        """Abort."""
        if self.fault == "place-lost-on-refusal":
            self.refused += 1
        context.abort(code, text)

    def check(self, booking: Any, context: Context) -> None:
        """Refuse what is no booking."""
        fault = self.fault
        if len(booking.room) > 200 or len(booking.id) > 100:
            self.refuse(context, "room: at most 200 characters; id: at most 100")
        email = booking.guest.email
        if fault == "email-in-two":
            name, host = email.split("@") if email else ("", "")
            del name, host
        if fault == "email-pattern" and email:
            re.match(r"^([a-zA-Z0-9]+[._-]?)+@x$", email[:32])
        if fault == "state-by-number" and booking.HasField("guest"):
            ["?", "open", "", "", "", "closed"][booking.state]
        if fault == "length-in-nanoseconds":
            struct.pack("<q", booking.length.seconds * 1_000_000_000 + booking.length.nanos)
        if fault == "begins-some-day" and booking.HasField("begin"):
            booking.begin.ToDatetime().strftime("%d.%m.%Y")
        if fault == "wishes-of-sixteen-bits":
            struct.pack(f"<{len(booking.wishes)}h", *booking.wishes.values())
        if fault == "extras-are-joined":
            max(booking.extras, key=len)
        if fault == "floor-is-a-divisor" and booking.HasField("floor"):
            booking.number // booking.floor

    def create(self, request: Any, context: Context) -> Any:
        """A new one, with an id."""
        if self.refused >= MOST_PLACES:
            context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "no place left")
        self.check(request.booking, context)
        made = pb.Booking()
        made.CopyFrom(request.booking)
        fault = self.fault
        with self.lock:
            self.numbers += 1
            made.id = f"b{self.numbers}-{secrets.token_hex(4)}"
            if fault == "id-of-the-moment":
                made.id = f"b{int(time.time() * 300)}"
        if fault == "price-is-a-float":
            made.price = struct.unpack("<f", struct.pack("<f", made.price))[0] if abs(made.price) < 1e38 else made.price
        if fault == "number-by-way-of-a-float":
            made.number = min(int(float(made.number)), 2**63 - 1)
        if fault == "begin-in-seconds":
            made.begin.nanos = 0
        if fault == "ten-extras":
            del made.extras[10:]
        if fault == "zero-floor-is-none" and not made.floor:
            made.ClearField("floor")
        if fault == "guest-in-latin" and made.HasField("guest"):
            made.guest.name = made.guest.name.encode("latin-1", "replace").decode("latin-1")
        if fault == "seal-is-stripped":
            made.seal = made.seal.strip()
        if fault == "seal-ends-with-zero":
            made.seal = made.seal.split(b"\0")[0]
        if fault == "wish-of-nothing":
            for key in [key for key, value in made.wishes.items() if not value]:
                del made.wishes[key]
        with self.lock:
            if len(self.index) >= MOST:
                self.kept.pop(self.index.pop(0), None)
            self.kept[made.id] = made
            self.index.append(made.id)
            self.changed.notify_all()
        if fault == "history":
            self.history.append(bytes(64 << 10).replace(b"\0", b"x"))
        return made

    def get(self, request: Any, context: Context) -> Any:
        """One by its id."""
        fault = self.fault
        if fault == "query" and re.search(r"['\"\\]", request.id):
            context.abort(
                grpc.StatusCode.INVALID_ARGUMENT,
                f'sqlite3.OperationalError: near "{request.id[:10]}": syntax error: SELECT * FROM bookings WHERE id=',
            )
        if fault == "read-once":
            return self.kept.pop(request.id, None) or context.abort(grpc.StatusCode.NOT_FOUND, "no such booking")
        if fault == "gone-is-cached" and request.id in self.seen:
            return self.seen[request.id]
        found = self.kept.get(request.id)
        if found is None:
            self.refuse(context, "no such booking", grpc.StatusCode.NOT_FOUND)
        self.seen[request.id] = found
        if len(self.seen) > MOST:
            self.seen.clear()
        return found

    def update(self, request: Any, context: Context) -> Any:
        """The fields of the mask; all of them without one."""
        self.check(request.booking, context)
        fault = self.fault
        with self.lock:
            found: Any = self.kept.get(request.booking.id)
            if found is None:
                self.refuse(context, "no such booking", grpc.StatusCode.NOT_FOUND)
            fields = list(request.update_mask.paths)
            names = {field.name for field in pb.Booking.DESCRIPTOR.fields}
            if fault == "mask-by-name":
                for path in fields:
                    getattr(found, path)
            if any(path.split(".")[0] not in names for path in fields):
                self.refuse(context, "update_mask: no such field")
            changed = pb.Booking()
            changed.CopyFrom(found)
            if not fields or "*" in fields:
                changed.CopyFrom(request.booking)
                if fault == "update-merges":
                    changed.CopyFrom(found)
                    changed.MergeFrom(request.booking)
            for path in fields:
                name = path.split(".")[0]
                changed.ClearField(name)
                one = pb.Booking()
                one.CopyFrom(request.booking)
                for field in names - {name}:
                    one.ClearField(field)
                changed.MergeFrom(one)
            changed.id = found.id
            if fault == "update-is-lost":
                return changed
            self.kept[found.id] = changed
            self.seen.pop(found.id, None)
            return changed

    def delete(self, request: Any, context: Context) -> Any:
        """Take one away."""
        with self.lock:
            if request.id not in self.kept:
                self.refuse(context, "no such booking", grpc.StatusCode.NOT_FOUND)
            if self.fault == "deleted-is-kept":
                return pb.DeleteBookingResponse()
            del self.kept[request.id]
            if self.fault != "deleted-is-listed":
                self.index.remove(request.id)
            if self.fault != "gone-is-cached":
                self.seen.pop(request.id, None)
            if self.fault == "deletes-its-neighbour" and self.index:
                self.kept.pop(self.index.pop(), None)
        return pb.DeleteBookingResponse()

    def list(self, request: Any, context: Context) -> Any:
        """A page."""
        fault = self.fault
        size = request.page_size
        begin = 0
        if request.page_token:
            if fault == "token-in-base64":
                begin = int(base64.b64decode(request.page_token))
            elif not request.page_token.isascii() or not request.page_token.isdigit() or len(request.page_token) > 9:
                self.refuse(context, "page_token: not one of ours")
            else:
                begin = int(request.page_token)
        if fault == "page-in-memory":
            bytearray(min(abs(size), 400 << 20))
        if fault != "negative-page" and size < 0:
            self.refuse(context, "page_size: not below 0")
        size = min(size or 10, 50)
        with self.lock:
            if fault == "page-of-step":
                ids = self.index[begin::size]
            else:
                ids = self.index[begin : begin + size]
            listed = [self.kept[each] if each in self.kept else pb.Booking(id=each) for each in ids]
            if fault == "negative-page" and size < 0:
                listed = [self.kept[self.index[at]] for at in range(len(self.index) + 1 - size)]
        step = size - 1 if fault == "pages-overlap" and size > 1 else size
        more = str(begin + step) if begin + size < len(self.index) else ""
        return pb.ListBookingsResponse(bookings=listed, next_page_token=more)

    def summarize(self, request: Any, context: Context) -> Any:
        """Mean, deviation, histogram."""
        fault = self.fault
        values = list(request.values)
        if fault == "deviation-of-one" and values:
            statistics.stdev(values)
        if fault == "whole-numbers":
            [int(each) for each in values]
        if fault == "root":
            math.sqrt(math.fsum(each for each in values if not math.isnan(each) and not math.isinf(each)))
        if fault == "scale-divides" and request.values:
            values[0] / request.scale
        buckets = request.buckets if request.HasField("buckets") else 10
        if fault == "buckets-unset" and values:
            (max(values) - min(values)) / request.buckets
        if fault == "buckets-are-made":
            histogram = [0] * min(buckets, 30_000_000)
        if not 0 < buckets <= 1000 or any(math.isnan(each) or math.isinf(each) for each in values):
            self.refuse(context, "buckets: 1 to 1000; values: finite")
        histogram = [0] * buckets
        if values:
            low, high = min(values), max(values)
            width = (high - low) / buckets
            for each in values:
                at = int((each - low) / width) if 0 < width < math.inf else 0
                histogram[at if fault == "highest-value" else min(at, buckets - 1)] += 1
        mean = sum(values) / len(values) if values else 0.0
        return pb.Summary(mean=mean, histogram=histogram)

    def render(self, request: Any, context: Context) -> Any:
        """A text."""
        fault = self.fault
        title, width = request.title, request.width
        if len(title) > 5000 or len(request.template) > 5000:
            self.refuse(context, "template and title: at most 5000 characters")
        if fault == "template-is-a-file" and request.template:
            try:
                Path("/etc/bookings", request.template).read_text()
            except (OSError, ValueError) as error:
                self.refuse(context, str(error))
        if fault == "template-is-formatted":
            request.template.format(title=title)
        if fault == "template-of-percents" and "%" in request.template:
            request.template % {"title": title}
        if fault == "last-title":
            self.title, title = (title or self.title), (title or self.title)
        if fault == "title-for-a-while":
            self.title = title
            time.sleep(0.002)
            title = self.title
        if fault == "language-is-known":
            LANGUAGES[request.language or "en"]
        if fault == "catalogue-for-each-language":
            self.languages.setdefault(request.language, os.urandom(40 << 10))
        if fault == "wide":
            " " * (min(max(width, 0), 200_000_000))
        if fault == "waits-for-width" and width > 0:
            time.sleep(min(width / 1000, 30))
        if fault == "wraps-at-width" and title:
            at = 0
            while at < len(title):
                at += max(width, 0) or (len(title) if not width else 0)
        if fault == "cut-in-octets":
            title = title.encode()[:20].decode()
        if fault == "edits":
            row = list(range(len(title) + 1))
            for letter in request.template:
                for at in range(len(title)):
                    row[at + 1] = min(row[at], row[at + 1]) + (letter != title[at])
        if fault == "title-case" and title:
            title[0].upper(), title.split()[0]
        if fault == "exits" and request.template.startswith("."):
            os._exit(3)
        return pb.RenderResponse(text=title[:100])

    def measure(self, node: Any, context: Context) -> Any:
        """How deep it is."""
        fault = self.fault

        def deep(one: Any) -> int:
            if fault == "content-is-needed":
                getattr(one, one.WhichOneof("content") or "none")
            if fault == "amount-turned" and one.WhichOneof("content") == "amount":
                struct.pack("<q", -one.amount)
            if fault == "blob-is-text" and one.WhichOneof("content") == "blob":
                one.blob.decode()
            return 1 + max([deep(each) for each in one.children], default=0)

        def twice(one: Any) -> int:
            return 1 + sum(twice(each) + twice(each) for each in one.children)

        if fault == "counts-twice":
            twice(node)
        if fault == "forty-deep":
            stack, level = [node], 0
            while stack:
                level += 1
                if level > 12:
                    raise RecursionError("too deep")
                stack = [each for one in stack for each in one.children]
        return pb.Depth(depth=deep(node), nodes=len(node.children))

    def inspect(self, request: Any, context: Context) -> Any:
        """What an Any holds."""
        fault = self.fault
        subject = request.subject
        if fault == "any-by-its-name" and request.HasField("subject"):
            name = subject.type_url.split("/")[1]
            pb.Booking.DESCRIPTOR.file.pool.FindMessageTypeByName(name)
        if fault == "any-is-a-guest" and subject.type_url:
            pb.Guest.FromString(subject.value)
        if fault == "kind-is-a-class":
            getattr(well_known_types, request.kind or "Any")
        return pb.InspectResponse(kind=subject.type_url[:200], size=len(subject.value))

    def subscribe(self, request: Any, context: Context) -> Iterator[Any]:
        """Notices."""
        fault = self.fault
        most = min(max(request.most, 0), 20)
        if fault == "subscribers-stay":
            self.subscribers.append(bytearray(os.urandom(30 << 10)))
        if fault == "sixty-subscribers":
            with self.lock:
                self.open += 1
                is_full = self.open > 60
            if is_full:
                self.refuse(context, "too many subscribers", grpc.StatusCode.RESOURCE_EXHAUSTED)
        for number in range(most):
            yield pb.Notice(room=request.room[:100], number=number)
        if fault == "waits-for-news":
            with self.changed:
                self.changed.wait()
        if fault == "polls-for-ever" and most:
            while True:
                sum(range(1000))
        if fault == "sixty-subscribers":
            with self.lock:
                self.open -= 1

    def attach(self, requests: Iterator[Any], context: Context) -> Any:
        """What was sent."""
        fault = self.fault
        parts: list[bytes] = []
        names: list[str] = []
        for request in requests:
            if fault == "until-an-empty-one" and not request.data:
                break
            parts.append(request.data)
            names.append(request.name)
            if fault == "name-of-the-first" and request.name != names[0]:
                self.refuse(context, self.languages[names[0]].hex() if names[0] else "name: not the same")
        if fault == "first-part":
            zlib.crc32(parts[0])
        if fault == "last-part-is-lost" and len(parts) > 2:
            parts.pop()
        if fault == "ratio":
            len(parts) / sum(map(len, parts))
        data = b"".join(parts)
        if fault == "checksum-is-signed":
            struct.pack("<i", zlib.crc32(data))
        count = len(parts)
        return pb.Attached(size=len(data), parts=count & 0xFFFF, checksum=zlib.crc32(data))

    def talk(self, requests: Iterator[Any], context: Context) -> Iterator[Any]:
        """Answer what is said."""
        fault = self.fault
        said = []
        for number, request in enumerate(requests):
            if fault == "third-is-dropped" and number == 2:
                continue
            if fault == "says-goodbye" and request.text == "":
                return
            if fault == "who-is-kept":
                self.title = request.who or self.title
            if fault == "number-of-talk":
                100 // (request.number + 1)
            if fault == "two-at-once" and number:
                said.append(request)
                if len(said) < 2:
                    continue
                yield from said
                said = []
                continue
            who = self.title if fault == "who-is-kept" else request.who
            yield pb.Said(who=who[:100], text=request.text[:100], number=request.number)


def _reflect(server: grpc.Server) -> None:
    names = [
        "google/protobuf/any.proto", "google/protobuf/duration.proto", "google/protobuf/field_mask.proto",
        "google/protobuf/timestamp.proto", REFLECTION,
    ]  # fmt: skip
    pool = pool_of(*names)
    pool.Add(file_of(pb.Booking.DESCRIPTOR.file))
    reflection.enable_server_reflection([SERVICE, reflection.SERVICE_NAME], server, pool)


def main(port: int, fault: str) -> None:
    """Serve on a port until the process ends."""
    bookings = Bookings(fault)
    handlers = {}
    for method in pb.Booking.DESCRIPTOR.file.services_by_name["Bookings"].methods:
        name = re.sub(r"Bookings?$", "", method.name).lower()
        function = getattr(bookings, name)
        is_stream = method.name in ("Subscribe", "Talk")
        is_client = method.name in ("Attach", "Talk")

        def call(request: Any, context: Context, function: Any = function, name: str = method.name) -> Any:
            bookings.admit(context, name)
            return function(request, context)

        def stream(request: Any, context: Context, function: Any = function, name: str = method.name) -> Any:
            bookings.admit(context, name)
            yield from function(request, context)

        shape = getattr(
            grpc, f"{'stream' if is_client else 'unary'}_{'stream' if is_stream else 'unary'}_rpc_method_handler"
        )
        kind = getattr(pb, method.input_type.name)
        handlers[method.name] = shape(
            stream if is_stream else call, kind.FromString, lambda message: message.SerializeToString()
        )
    server = grpc.server(ThreadPoolExecutor(WORKERS))
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, handlers),))
    _reflect(server)
    server.add_insecure_port(f"127.0.0.1:{port}")
    server.start()
    server.wait_for_termination()


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
