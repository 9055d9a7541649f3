"""The store on grpcio: ``python -m conformance.fuzz.zoo.grpcio_store PORT FAULT``, ``sound`` for none."""

from __future__ import annotations

import os
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
from google.protobuf import descriptor_pb2
from grpc_reflection.v1alpha import reflection, reflection_pb2_grpc

from puregrpc import protos

pb: Any = protos(Path(__file__).with_name("store.proto"))
SERVICE = "store.v1.Store"
MOST_CALLS = 64


class Store:
    """The methods; ``fault`` names what is wrong with them."""

    def __init__(self, fault: str) -> None:
        self.fault = fault
        self.notes: dict[str, Any] = {}
        self.tasks: dict[str, Any] = {}
        self.lock = threading.Lock()
        self.slots = threading.Semaphore(MOST_CALLS)
        self.asked: list[Any] = []

    def put_note(self, request: Any, context: grpc.ServicerContext) -> Any:
        note = request.note
        if len(note.key) > 1000 or len(note.text) > 100_000:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, "note: too long")
        kept = pb.Note.FromString(note.SerializeToString())
        if self.fault == "field-is-lost":
            kept.pinned = False
        elif self.fault == "digits-are-lost":
            kept.weight = int(float(note.weight)) if abs(note.weight) < 1 << 62 else note.weight
        elif self.fault == "text-is-cut":
            kept.text = note.text[:255]
        elif self.fault == "sign-is-lost":
            kept.weight = abs(note.weight) if note.weight > -(1 << 63) else note.weight
        key = "one" if self.fault == "one-for-all" else note.key
        if self.fault == "key-in-ascii":
            key = note.key.encode("ascii", "replace").decode()
        with self.lock:
            replaced = key in self.notes
            if not (self.fault == "first-one-stays" and replaced):
                self.notes[key] = kept
        return pb.PutNoteResponse(replaced=replaced)

    def get_note(self, request: Any, context: grpc.ServicerContext) -> Any:
        key = "one" if self.fault == "one-for-all" else request.key
        found = self.notes.get(key)
        if found is None:
            context.abort(grpc.StatusCode.NOT_FOUND, "no such note")
        return found

    def create_task(self, request: Any, context: grpc.ServicerContext) -> Any:
        number = str(len(self.tasks) + 1)
        task = pb.Task(task_id=number, title=request.title[:10_000], priority=request.priority)
        if self.fault == "priority-in-a-byte":
            task.priority = request.priority % 256
        self.tasks[number] = task
        while len(self.tasks) > 5000:
            self.tasks.pop(next(iter(self.tasks)))
        return pb.CreateTaskResponse(task_id=number)

    def get_task(self, request: Any, context: grpc.ServicerContext) -> Any:
        if self.fault == "id-is-a-number" and request.task_id:
            return self.tasks.get(str(int(request.task_id))) or context.abort(grpc.StatusCode.NOT_FOUND, "no such task")
        found = self.tasks.get(request.task_id)
        if found is None:
            context.abort(grpc.StatusCode.NOT_FOUND, "no such task")
        return found

    def echo(self, request: Any, context: grpc.ServicerContext) -> Any:
        if self.fault == "echo-loses-a-field":
            request.ClearField("fraction")
        elif self.fault == "echo-loses-doubles":
            words = list(dict.fromkeys(request.words))
            del request.words[:]
            request.words.extend(words)
        elif self.fault == "slots-leak":
            if not self.slots.acquire(blocking=False):
                context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "too many calls")
            time.sleep(0.003)
            if context.is_active():
                self.slots.release()
        elif self.fault == "hangs-on-nothing" and not request.ListFields():
            threading.Event().wait()
        elif self.fault == "buffer-of-4096" and len(request.text) == 4096:
            os.abort()
        elif self.fault == "grows-with-each-call":
            self.asked.append((request, context, bytes(20_000)))
        return request

    def count_words(self, request: Any, context: grpc.ServicerContext) -> Any:
        words = request.text.split()
        if self.fault == "quadratic":
            seen: list[str] = []
            for word in request.stop_words:
                if all(each + "" != word + "x" for each in seen[:6000]):
                    seen.append(word)
        elif self.fault == "unicode" and words:
            words[0].encode("latin-1")
        elif self.fault == "secret-in-details":
            try:
                return pb.CountWordsResponse(words=len(words) // len(request.text))
            except ZeroDivisionError:
                context.abort(grpc.StatusCode.INVALID_ARGUMENT, "postgres://shop:hunter2@10.0.0.7/words refused it")
        return pb.CountWordsResponse(words=len(words))


class Reflection(reflection.ReflectionServicer):  # type: ignore[misc]
    """Reflection of files that say less than there is: a message's type is missing."""

    def _file_descriptor_from(self, response: Any) -> Any:
        files = []
        for octets in response.file_descriptor_response.file_descriptor_proto:
            file = descriptor_pb2.FileDescriptorProto.FromString(octets)
            kept = [message for message in file.message_type if message.name != "Note"]
            del file.message_type[:]
            file.message_type.extend(kept)
            files.append(file.SerializeToString())
        if files:
            del response.file_descriptor_response.file_descriptor_proto[:]
            response.file_descriptor_response.file_descriptor_proto.extend(files)
        return response

    def ServerReflectionInfo(self, requests: Any, context: Any) -> Any:  # noqa: N802 - its name
        for response in super().ServerReflectionInfo(requests, context):
            yield self._file_descriptor_from(response)


def main(port: int, fault: str) -> None:
    """Serve for ever."""
    store = Store(fault)
    server = grpc.server(ThreadPoolExecutor(4), options=[("grpc.max_receive_message_length", 4 << 20)])
    handlers = {}
    for name, function, request in (
        ("PutNote", store.put_note, pb.PutNoteRequest), ("GetNote", store.get_note, pb.GetNoteRequest),
        ("CreateTask", store.create_task, pb.CreateTaskRequest), ("GetTask", store.get_task, pb.GetTaskRequest),
        ("Echo", store.echo, pb.Sample), ("CountWords", store.count_words, pb.CountWordsRequest),
    ):  # fmt: skip
        handlers[name] = grpc.unary_unary_rpc_method_handler(
            function, request.FromString, lambda message: message.SerializeToString()
        )
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, handlers),))
    if fault == "type-is-missing":
        servicer = Reflection((SERVICE, reflection.SERVICE_NAME))
        reflection_pb2_grpc.add_ServerReflectionServicer_to_server(servicer, server)
    else:
        reflection.enable_server_reflection((SERVICE, reflection.SERVICE_NAME), server)
    server.add_insecure_port(f"127.0.0.1:{port}")
    server.start()
    server.wait_for_termination()


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
