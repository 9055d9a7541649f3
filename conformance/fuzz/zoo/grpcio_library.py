"""The library on grpcio: ``python -m conformance.fuzz.zoo.grpcio_library PORT FAULT``, ``sound`` for none."""

from __future__ import annotations

import os
import queue
import struct
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
from google.protobuf import descriptor_pool, message_factory
from google.rpc import status_pb2
from grpc_reflection.v1alpha import reflection

from puregrpc import protos

pb: Any = protos(Path(__file__).with_name("library.proto"))
SERVICE = "library.v1.Library"
TOKEN = "Bearer letmein"
GUARDED = ("guarded", "let-in-once", "streams-unguarded", "scheme-alone")


class Library:
    """The methods; ``fault`` names what is wrong with them."""

    def __init__(self, fault: str) -> None:
        self.fault = fault
        self.lock = threading.Lock()
        self.current: Any = None
        self.caller = ""
        self.filters: dict[str, str] = {}
        self.kept: list[Any] = []

    def get_book(self, request: Any, context: grpc.ServicerContext) -> Any:
        fault = self.fault
        title, number = request.title[:1000], request.id
        if fault == "answers-swapped":
            self.current = request
            time.sleep(0.001)
            title, number = self.current.title[:1000], self.current.id
        elif fault == "digits-are-lost":
            number = int(float(number)) if abs(number) < 1 << 62 else number
        elif fault == "thirty-two-bits":
            number = struct.unpack("<i", struct.pack("<q", number)[:4])[0]
        elif fault == "another-encoding":
            title = request.title[:300].encode().decode("latin-1")
        elif fault == "file-for-each-call":
            self.kept.append(os.open("/dev/null", os.O_RDONLY))
        elif fault == "thread-for-each-call":
            threading.Thread(target=time.sleep, args=(120,), daemon=True).start()
        elif fault == "spins-from-then-on" and number == -1:
            threading.Thread(target=_spin, daemon=True).start()
        elif fault == "grows-with-cancelled":
            time.sleep(0.002)
            if not context.is_active():
                self.kept.append(os.urandom(200_000))
        elif fault == "file-for-each-cancelled":
            time.sleep(0.002)
            if not context.is_active():
                self.kept.append(os.open("/dev/null", os.O_RDONLY))
        elif fault == "lock-kept-on-exception":
            self.lock.acquire()
            if number < 0:
                raise ValueError("id")
            self.lock.release()
        note = ""
        if fault == "last-caller-told":
            note = self.caller
            self.caller = dict(context.invocation_metadata()).get("x-user", self.caller)
        if fault == "binary-metadata":
            for name, value in context.invocation_metadata():
                if name.endswith("-bin"):
                    value.decode()
        if number < 0:
            if fault == "details-differ":
                details = status_pb2.Status(code=5, message="id").SerializeToString()
                context.set_trailing_metadata((("grpc-status-details-bin", details),))
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, "id: not below 0")
        return pb.Book(id=number, title=title, note=note)

    def search(self, request: Any, context: grpc.ServicerContext) -> Any:
        fault = self.fault
        if fault == "oneof-not-set" and request.WhichOneof("range") is None:
            raise KeyError(None)
        if fault == "empty-key" and "" in request.filters:
            raise KeyError("")
        if fault == "two-together" and request.genre == 2 and request.year < 0:
            raise ArithmeticError("year of a poem")
        if fault == "file-is-read" and ".." in request.query:
            text = Path("/usr", request.query.lstrip("/")).resolve().read_text()
            return pb.SearchResponse(text=text[:200])
        if fault == "filters-stay":
            self.filters.update(request.filters)
        size, page = request.page_size, request.page
        if size < 0 or page < 0:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, "page_size, page: not below 0")
        if fault == "offset-overflows":
            struct.pack("<i", size * page)
        books = [pb.Book(id=number, title="Emma") for number in range(min(size, 10))]
        return pb.SearchResponse(books=books, total=len(books) + len(self.filters))

    def lend(self, request: Any, context: grpc.ServicerContext) -> Any:
        if self.fault == "unknown-type" and request.HasField("proof"):
            name = request.proof.type_url.rpartition("/")[2]
            try:
                found = descriptor_pool.Default().FindMessageTypeByName(name)
            except KeyError:
                os.abort()
            message_factory.GetMessageClass(found)
        if self.fault == "sleeps":
            time.sleep(min(max(request.period.seconds, 0), 20))
        return pb.Loan(book_id=request.book_id, user=request.user[:100])

    def count_shelves(self, request: Any, context: grpc.ServicerContext) -> Any:
        def count(shelf: Any, depth: int) -> int:
            if depth > 30 and self.fault == "recursion":
                raise RecursionError("maximum recursion depth exceeded")
            return 1 + sum(count(each, depth + 1) for each in shelf.shelves)

        return pb.ShelfCount(shelves=count(request, 0))

    def follow(self, request: Any, context: grpc.ServicerContext) -> Iterator[Any]:
        if not 0 <= request.count <= 1000:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, "count: 0 to 1000")
        for number in range(request.count):
            yield pb.Event(number=number, text="arrived")

    def import_books(self, requests: Iterator[Any], context: grpc.ServicerContext) -> Any:
        books, checksum, before = 0, 0, 0.0
        for book in requests:
            now = time.monotonic()
            if not (self.fault == "quick-one-lost" and now - before < 0.01):
                books += 1
                checksum = (checksum * 31 + len(book.title)) % 1_000_003
            before = now
        return pb.ImportReport(books=books, checksum=checksum)

    def talk(self, requests: Iterator[Any], context: grpc.ServicerContext) -> Iterator[Any]:
        if self.fault != "order-is-lost":
            for note in requests:
                yield pb.Note(text=note.text[:1000])
            return
        answers: queue.Queue[Any] = queue.Queue()

        def read() -> None:
            timers = []
            for number, note in enumerate(requests):
                answer = pb.Note(text=note.text[:1000])
                timers.append(threading.Timer(0 if number else 0.02, answers.put, (answer,)))
                timers[-1].start()
            for timer in timers:
                timer.join()
            answers.put(None)

        threading.Thread(target=read, daemon=True).start()
        while (answer := answers.get()) is not None:
            yield answer


def _spin() -> None:
    while True:
        pass


class Guard(grpc.ServerInterceptor):  # type: ignore[misc]
    """Lets calls in that bring the token; with a fault, others as well."""

    def __init__(self, fault: str) -> None:
        self.fault = fault
        self.known = False

    def intercept_service(self, proceed: Any, details: Any) -> Any:
        if "reflection" in details.method:
            return proceed(details)
        given = dict(details.invocation_metadata).get("authorization", "")
        ok = given == TOKEN
        if self.fault == "let-in-once":
            self.known = ok = self.known or ok
        elif self.fault == "streams-unguarded":
            ok = ok or details.method.endswith(("Follow", "Talk"))
        elif self.fault == "scheme-alone":
            ok = given.split(" ")[0] == "Bearer"
        handler = proceed(details)
        if ok or handler is None:
            return handler

        def refuse(_request: Any, context: grpc.ServicerContext) -> Any:
            context.abort(grpc.StatusCode.UNAUTHENTICATED, "no token")

        make = {
            (False, False): grpc.unary_unary_rpc_method_handler, (False, True): grpc.unary_stream_rpc_method_handler,
            (True, False): grpc.stream_unary_rpc_method_handler, (True, True): grpc.stream_stream_rpc_method_handler,
        }[handler.request_streaming, handler.response_streaming]  # fmt: skip
        return make(refuse)


def main(port: int, fault: str) -> None:
    """Serve for ever."""
    library = Library(fault)
    interceptors = [Guard(fault)] if fault in GUARDED else []
    server = grpc.server(ThreadPoolExecutor(4), interceptors=interceptors)
    handlers = {}
    for name, make, function, request in (
        ("GetBook", grpc.unary_unary_rpc_method_handler, library.get_book, pb.GetBookRequest),
        ("Search", grpc.unary_unary_rpc_method_handler, library.search, pb.SearchRequest),
        ("Lend", grpc.unary_unary_rpc_method_handler, library.lend, pb.LendRequest),
        ("CountShelves", grpc.unary_unary_rpc_method_handler, library.count_shelves, pb.Shelf),
        ("Follow", grpc.unary_stream_rpc_method_handler, library.follow, pb.FollowRequest),
        ("Import", grpc.stream_unary_rpc_method_handler, library.import_books, pb.Book),
        ("Talk", grpc.stream_stream_rpc_method_handler, library.talk, pb.Note),
    ):
        handlers[name] = make(function, request.FromString, lambda message: message.SerializeToString())
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, handlers),))
    reflection.enable_server_reflection((SERVICE, reflection.SERVICE_NAME), server)
    server.add_insecure_port(f"127.0.0.1:{port}")
    server.start()
    server.wait_for_termination()


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
