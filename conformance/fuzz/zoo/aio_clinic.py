"""A clinic on grpc.aio: ``python -m conformance.fuzz.zoo.aio_clinic PORT FAULT``, ``sound`` for none."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import sys
import traceback
from collections.abc import AsyncIterator
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any, NoReturn

import grpc
from grpc_reflection.v1alpha import reflection

from conformance.fuzz.zoo.reflected import REFLECTION, file_of, pool_of
from puregrpc import protos

pb: Any = protos(Path(__file__).with_name("clinic.proto"))
PATIENTS, VISITS = "clinic.v1.Patients", "clinic.v1.Visits"
MOST_KEPT = 2000
MOST_TIMES = 10_000
DESKS = 8
TOKEN = "Bearer letmein"


class Query(argparse.ArgumentParser):
    """Reads what is searched for."""

    ends_the_process = False

    def error(self, message: str) -> NoReturn:
        if self.ends_the_process:
            super().error(message)
        raise ValueError(message)

    def exit(self, status: int = 0, message: str | None = None) -> NoReturn:
        if self.ends_the_process:
            super().exit(status, message)
        raise ValueError(message)


class Clinic:
    """The methods; ``fault`` names what is wrong with them."""

    def __init__(self, fault: str) -> None:
        self.fault = fault
        self.patients: dict[str, Any] = {}
        self.desks = asyncio.Semaphore(DESKS)
        self.followers: set[asyncio.Queue[str]] = set()
        self.tasks: set[asyncio.Task[None]] = set()
        self.query = Query(add_help=True)
        self.query.ends_the_process = fault == "query-ends-process"
        self.query.add_argument("--city", default="")
        self.query.add_argument("words", nargs="*")

    async def update_patient(self, request: Any, context: Any) -> Any:
        if len(request.number) > 1000 or len(request.allergies) > 1000 or request.ByteSize() > 20_000:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, "too long")
        old = self.patients.get(request.number)
        patient = pb.Patient.FromString(request.SerializeToString())
        if self.fault == "merged-into-the-old" and old is not None:
            old.MergeFrom(patient)
            return pb.Updated(is_new=False)
        if self.fault == "list-is-cut":
            del patient.allergies[20:]
        self.patients[request.number] = patient
        while len(self.patients) > MOST_KEPT:
            self.patients.pop(next(iter(self.patients)))
        return pb.Updated(is_new=old is None)

    async def get_patient(self, request: Any, context: Any) -> Any:
        patient = self.patients.get(request.number)
        if patient is None:
            await context.abort(grpc.StatusCode.NOT_FOUND, "no such patient")
        return patient

    async def search_patients(self, request: Any, context: Any) -> Any:
        if len(request.query) > 1000:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, "query: at most 1000 characters")
        try:
            asked = self.query.parse_args(request.query.split())
        except ValueError:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, "query: --city CITY WORDS")
        found = []
        for patient in self.patients.values():
            if asked.city and patient.contact.city != asked.city:
                continue
            if any(word in patient.name for word in asked.words) or not asked.words:
                found.append(patient)
                if self.fault == "search-hides-in-place":
                    patient.contact.phone = ""
        return pb.SearchPatientsResponse(patients=found[: max(0, min(request.limit, 10))])

    async def book(self, request: Any, context: Any) -> Any:
        if len(request.patient) > 1000:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, "patient: at most 1000 characters")
        try:
            day = date.fromisoformat(request.day)
        except ValueError:
            if self.fault == "trace-in-trailers":
                context.set_trailing_metadata((("x-debug", traceback.format_exc().replace("\n", "|")),))
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, "day: as 2026-05-17")
        if self.fault == "desk-is-lost":
            await self.desks.acquire()
            await asyncio.sleep(0.003)
            self.desks.release()
        else:
            async with self.desks:
                await asyncio.sleep(0.003)
        if self.fault == "day-before-the-first":
            day = date.fromordinal(day.toordinal() - 1)
        return pb.Visit(day=str(day), said="booked")

    async def free_times(self, request: Any, context: Any) -> Any:
        begin, end = request.__getattribute__("from"), request.to
        step = request.step.ToNanoseconds() if abs(request.step.seconds) < 1 << 31 else 0
        if step <= 0:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, "step: over 0")
        if self.fault == "step-in-seconds":
            return pb.FreeTimesResponse(times=max(0, end.seconds - begin.seconds) // request.step.seconds)
        if self.fault == "any-number-of-times":
            at, times = begin.seconds * 10**9, []
            while at < end.seconds * 10**9:
                times.append(at)
                at += step
            return pb.FreeTimesResponse(times=len(times))
        return pb.FreeTimesResponse(times=min(MOST_TIMES, max(0, end.seconds - begin.seconds) * 10**9 // step))

    async def total(self, request: Any, context: Any) -> Any:
        cents = 0
        for position in request.positions[:1000]:
            try:
                amount = Decimal(position.amount)
                if self.fault == "amount-with-an-exponent":
                    cents += int(amount) * 100
                elif abs(amount) < 10**12:
                    cents += int(amount * 100)
            except (ValueError, ArithmeticError):
                await context.abort(grpc.StatusCode.INVALID_ARGUMENT, "amount: as 12.50")
        return pb.TotalResponse(total=str(cents % 10**15))

    async def follow(self, request: Any, context: Any) -> AsyncIterator[Any]:
        queue: asyncio.Queue[str] = asyncio.Queue(0 if self.fault == "followers-stay" else 16)
        self.followers.add(queue)
        if self.fault == "looks-for-remarks-for-ever":
            self._later(self._look(queue))
        try:
            yield pb.Remark(text=f"welcome to {request.room[:100]}")
            with contextlib.suppress(asyncio.TimeoutError):
                while True:
                    yield pb.Remark(text=await asyncio.wait_for(queue.get(), 0.05))
        finally:
            if self.fault != "followers-stay":
                self.followers.discard(queue)

    async def _look(self, queue: asyncio.Queue[str]) -> None:
        while True:
            if not queue.empty():
                return
            await asyncio.sleep(0)

    async def announce(self, request: Any, context: Any) -> Any:
        if len(request.text) > 100_000:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, "text: at most 100000 characters")
        for queue in self.followers:
            with contextlib.suppress(asyncio.QueueFull):
                queue.put_nowait(f"{len(self.followers)}: {request.text}")
        return pb.Announced(followers=0)

    def _later(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def measure(self, requests: Any, context: Any) -> Any:
        if self.fault == "more-are-expected":
            first = await context.read()
            count, total = 0, 0.0
            while first is not grpc.aio.EOF and count < first.expected:
                reading = await context.read()
                if reading is not grpc.aio.EOF:
                    count, total = count + 1, total + reading.value
            return pb.Measured(readings=count, sum=total)
        count, total = 0, 0.0
        async for reading in requests:
            count, total = count + 1, total + reading.value
            if self.fault == "failed-task-ends-process":
                self._later(self._save(reading.value))
        return pb.Measured(readings=count, sum=total)

    async def _save(self, value: float) -> None:
        f"{int(value)}".encode("ascii")

    async def talk(self, requests: Any, context: Any) -> AsyncIterator[Any]:
        queue: asyncio.Queue[str | None] = asyncio.Queue(0 if self.fault == "queue-without-end" else 4)

        async def read() -> None:
            async for remark in requests:
                await queue.put(remark.text[:100_000])
            await queue.put(None)

        reader = asyncio.get_running_loop().create_task(read())
        try:
            while (text := await queue.get()) is not None:
                yield pb.Remark(text=text)
        finally:
            reader.cancel()
            with contextlib.suppress(BaseException):
                await reader


class Guard(grpc.aio.ServerInterceptor):  # type: ignore[misc]
    """Lets in who has the token."""

    def __init__(self, fault: str) -> None:
        self.fault = fault

    async def intercept_service(self, continuation: Any, details: Any) -> Any:
        """Called for each call."""
        metadata = dict(details.invocation_metadata)
        token = str(metadata.get("authorization", "-"))
        if self.fault == "part-of-the-token":
            is_known = token in TOKEN
        elif self.fault == "browsers-are-let-in":
            is_known = token == TOKEN or "x-forwarded-for" in metadata
        elif self.fault == "methods-by-their-end":
            is_known = token == TOKEN or details.method.endswith("Total")
        else:
            is_known = token == TOKEN
        if is_known or details.method.startswith("/grpc.reflection."):
            return await continuation(details)

        async def refuse(request: Any, context: Any) -> None:
            await context.abort(grpc.StatusCode.UNAUTHENTICATED, "no")

        return grpc.unary_unary_rpc_method_handler(refuse)


GUARDED = {"part-of-the-token", "browsers-are-let-in", "methods-by-their-end", "guarded"}


def _reflect(server: Any, fault: str) -> None:
    pool = pool_of("google/protobuf/timestamp.proto", "google/protobuf/duration.proto", REFLECTION)
    pool.Add(file_of(pb.DESCRIPTOR))
    names = [PATIENTS, VISITS, reflection.SERVICE_NAME]
    if fault == "service-of-no-file":
        names.append("clinic.v1.Billing")
    reflection.enable_server_reflection(names, server, pool=pool)


def _handlers(clinic: Clinic) -> list[Any]:
    def encode(message: Any) -> bytes:
        return bytes(message.SerializeToString())

    def unary(function: Any, request: Any) -> Any:
        return grpc.unary_unary_rpc_method_handler(function, request.FromString, encode)

    return [
        grpc.method_handlers_generic_handler(PATIENTS, {
            "UpdatePatient": unary(clinic.update_patient, pb.Patient),
            "GetPatient": unary(clinic.get_patient, pb.GetPatientRequest),
            "SearchPatients": unary(clinic.search_patients, pb.SearchPatientsRequest),
        }),
        grpc.method_handlers_generic_handler(VISITS, {
            "Book": unary(clinic.book, pb.BookRequest),
            "FreeTimes": unary(clinic.free_times, pb.FreeTimesRequest),
            "Total": unary(clinic.total, pb.Invoice),
            "Follow": grpc.unary_stream_rpc_method_handler(clinic.follow, pb.FollowRequest.FromString, encode),
            "Announce": unary(clinic.announce, pb.Remark),
            "Measure": grpc.stream_unary_rpc_method_handler(clinic.measure, pb.Reading.FromString, encode),
            "Talk": grpc.stream_stream_rpc_method_handler(clinic.talk, pb.Remark.FromString, encode),
        }),
    ]  # fmt: skip


async def main(port: int, fault: str) -> None:
    """Serve for ever."""
    import google.protobuf.duration_pb2
    import google.protobuf.timestamp_pb2  # noqa: F401 - reflection tells them

    server = grpc.aio.server(interceptors=[Guard(fault)] if fault in GUARDED else [])
    server.add_generic_rpc_handlers(_handlers(Clinic(fault)))
    _reflect(server, fault)
    server.add_insecure_port(f"127.0.0.1:{port}")
    await server.start()
    if fault == "failed-task-ends-process":
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda *_: loop.stop())
    await server.wait_for_termination()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), sys.argv[2]))
