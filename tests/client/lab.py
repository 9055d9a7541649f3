"""A grpcio server with the services of tests/client/definitions, for the client to talk to."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from google.protobuf import descriptor_pb2

from puregrpc.proto import compile as compile_proto
from puregrpc.schema import Registry

if TYPE_CHECKING:
    import grpc

DEFINITIONS = Path(__file__).parent / "definitions"
FILES = ("lab.proto", "multi.proto", "nopackage.proto", "required.proto", "google/rpc/error_details.proto")
BIG = 9007199254740993
PARTS, PART_SIZE = 300, 50_000
"""What CountThenCollect sends: far more than a client keeps of what nobody has taken."""

REGISTRY = Registry()
for _file in compile_proto([*FILES, "google/rpc/status.proto"], import_paths=[DEFINITIONS]):
    REGISTRY.add_file(_file)


def code_of(number: int) -> grpc.StatusCode:
    import grpc

    return next(code for code in grpc.StatusCode if code.value[0] == number)


def message(name: str, **fields: Any) -> Any:
    return REGISTRY.message_class(REGISTRY.message(name))(**fields)


def packed(value: Any) -> Any:
    url = "type.googleapis.com/" + value.DESCRIPTOR.full_name
    return message("google.protobuf.Any", type_url=url, value=value.SerializeToString())


def metadata_of(pairs: Any) -> tuple[tuple[str, str | bytes], ...]:
    return tuple((p.key, p.raw if p.key.endswith("-bin") else p.value) for p in pairs)


def received(context: Any) -> list[Any]:
    pairs = [
        message("lab.Pair", key=key, **({"raw": value} if isinstance(value, bytes) else {"value": value}))
        for key, value in context.invocation_metadata()
    ]
    return sorted(pairs, key=lambda p: (p.key, p.value, p.raw))


def fail(context: Any, order: Any) -> None:
    if order.headers:
        context.send_initial_metadata(metadata_of(order.headers))
    trailers = list(metadata_of(order.trailers))
    details = []
    if order.details in ("info", "both"):
        info = message("google.rpc.ErrorInfo", reason="OFF", domain="example.com")
        info.metadata["service"] = "lab"
        details.append(packed(info))
    if order.details in ("reason", "both"):
        details.append(packed(message("lab.Reason", why="because", when=1234567890123456789)))
    if order.details == "unknown":
        details.append(message("google.protobuf.Any", type_url="type.googleapis.com/nobody.Knows", value=b"\x08\x01"))
    if details:
        status = message("google.rpc.Status", code=order.code, message=order.message, details=details)
        trailers.append(("grpc-status-details-bin", status.SerializeToString()))
    context.set_trailing_metadata(tuple(trailers))
    if order.code:
        context.abort(code_of(order.code), order.message)


def inspect(request: Any, context: Any) -> Any:
    left = context.time_remaining()
    return message(
        "lab.Seen",
        hex=request.SerializeToString(deterministic=True).hex(),
        metadata=received(context),
        milliseconds_left=-1 if left is None or left > 1e9 else left * 1000,
    )


def meta(request: Any, context: Any) -> Any:
    context.send_initial_metadata(metadata_of(request.headers))
    context.set_trailing_metadata(metadata_of(request.trailers))
    return message("google.protobuf.Empty")


def failing(request: Any, context: Any) -> Any:
    fail(context, request)
    return message("lab.Everything")


def sleep(request: Any, context: Any) -> Any:
    time.sleep(request.ms / 1000)
    return request


def big(request: Any, context: Any) -> Any:
    return message("lab.Load", size=len(request.padding), padding=b"x" * request.size)


def special(request: Any, context: Any) -> Any:
    values = [math.nan, math.inf, -math.inf, -0.0, 1 / 3, 1e21, 1e-7]
    return message("lab.Floats", ds=values, fs=values)


def unknown_any(request: Any, context: Any) -> Any:
    return message(
        "lab.Box", data=message("google.protobuf.Any", type_url="type.googleapis.com/nobody.Knows", value=b"\x08\x01")
    )


def unknown_enum(request: Any, context: Any) -> Any:
    reply = message("lab.Everything", a_color=77, colors=[0, 1, -1, 99])
    reply.by_bool[True] = 55
    return reply


def hang(request: Any, context: Any) -> Any:
    while context.is_active():
        time.sleep(0.005)
    return message("lab.Nap")


def hang_after_headers(request: Any, context: Any) -> Any:
    context.send_initial_metadata((("x-early", "1"),))
    return hang(request, context)


def part(index: int, order: Any, count: int = 0) -> Any:
    return message("lab.Part", index=index, text=order.text, received=count, big=BIG + index, body=b"x" * order.size)


def count(request: Any, context: Any) -> Iterator[Any]:
    for index in range(request.count):
        if request.interval_ms:
            time.sleep(request.interval_ms / 1000)
        if not context.is_active():
            return
        yield part(index, request)
    if request.HasField("failure"):
        fail(context, request.failure)


def count_and_hang(request: Any, context: Any) -> Iterator[Any]:
    yield from count(request, context)
    hang(request, context)


def collect(requests: Iterator[Any], context: Any) -> Any:
    last, length, number = None, 0, 0
    for last in requests:
        number += 1
        length += len(last.text)
        if last.HasField("failure"):
            fail(context, last.failure)
    text = last.text if last is not None else ""
    return message("lab.Part", index=length, text=text, received=number, metadata=received(context))


def converse(requests: Iterator[Any], context: Any) -> Iterator[Any]:
    for number, request in enumerate(requests, 1):
        for index in range(request.count or 1):
            yield part(index, request, number)
        if request.HasField("failure"):
            fail(context, request.failure)


def count_then_collect(requests: Iterator[Any], context: Any) -> Iterator[Any]:
    yield from count(message("lab.Order", count=PARTS, size=PART_SIZE), context)
    yield part(-1, message("lab.Order"), sum(1 for _ in requests))


def join_text(requests: Iterator[Any], context: Any) -> Any:
    return message("google.protobuf.StringValue", value=" ".join(request.value for request in requests))


def greet(request: Any, context: Any) -> Any:
    asked = dict(context.invocation_metadata()).get("x-fail")
    if asked:
        context.abort(code_of(int(asked)), "asked to fail")
    return message("required.Reply", text=f"hello {request.name or 'noname'}")


def chat(requests: Iterator[Any], context: Any) -> Iterator[Any]:
    for request in requests:
        yield greet(request, context)


def echo(request: Any, context: Any) -> Any:
    return request


def raw(data: bytes) -> Callable[[Any, Any], bytes]:
    return lambda request, context: data


HANDLERS: dict[str, dict[str, Callable[..., Any]]] = {
    "lab.Bench": {
        "Echo": echo, "Inspect": inspect, "EchoKnown": echo, "EchoFloats": echo, "EchoOptional": echo,
        "EchoAny": echo, "EchoInteger": echo, "EchoValue": echo, "Meta": meta, "Fail": failing, "Sleep": sleep,
        "Big": big, "Special": special, "UnknownAny": unknown_any, "UnknownEnum": unknown_enum,
        "Garbage": raw(b"\xff\xff\xff\xff"), "UnknownFields": raw(b"\x08\x07\x98\x06\x01\xa2\x06\x02zz"),
        "BadText": raw(b"\x12\x02\xff\xfe"), "Hang": hang, "HangAfterHeaders": hang_after_headers, "Count": count,
        "Collect": collect, "Converse": converse, "CountAndHang": count_and_hang, "JoinText": join_text,
        "CountThenCollect": count_then_collect,
    },
    "NoPackage": {"Do": echo},
    "required.Greeter": {"Greet": greet, "Chat": chat},
}  # fmt: skip


def serialize(value: Any) -> bytes:
    return value if isinstance(value, bytes) else bytes(value.SerializeToString())


def handlers() -> Iterator[grpc.GenericRpcHandler]:
    import grpc

    kinds = {
        (False, False): grpc.unary_unary_rpc_method_handler,
        (False, True): grpc.unary_stream_rpc_method_handler,
        (True, False): grpc.stream_unary_rpc_method_handler,
        (True, True): grpc.stream_stream_rpc_method_handler,
    }
    for name, functions in HANDLERS.items():
        made = {}
        for method in REGISTRY.service(name).methods:
            if method.name in functions:
                made[method.name] = kinds[method.is_client_stream, method.is_server_stream](
                    functions[method.name],
                    request_deserializer=REGISTRY.message_class(method.input_type).FromString,
                    response_serializer=serialize,
                )
        yield grpc.method_handlers_generic_handler(name, made)


@contextmanager
def lab_server(
    credentials: grpc.ServerCredentials | None = None, *, with_health: bool = True, with_reflection: bool = True
) -> Iterator[str]:
    """The address of a running server."""
    import grpc
    from grpc_health.v1 import health, health_pb2, health_pb2_grpc
    from grpc_reflection.v1alpha import reflection

    server = grpc.server(ThreadPoolExecutor(32))
    for handler in handlers():
        server.add_generic_rpc_handlers((handler,))
    if with_health:
        servicer = health.HealthServicer()
        health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
        servicer.set("sick", health_pb2.HealthCheckResponse.NOT_SERVING)
        servicer.set("odd", health_pb2.HealthCheckResponse.UNKNOWN)
    if with_reflection:
        pool = REGISTRY.message_class(REGISTRY.message("lab.Pair")).DESCRIPTOR.file.pool
        reflection.enable_server_reflection([*HANDLERS, reflection.SERVICE_NAME], server, pool=pool)
    if credentials is None:
        port = server.add_insecure_port("127.0.0.1:0")
    else:
        port = server.add_secure_port("127.0.0.1:0", credentials)
    server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        server.stop(0).wait(5)


def protoset(*names: str, with_imports: bool) -> bytes:
    """A FileDescriptorSet of files of the schema."""
    chosen: dict[str, descriptor_pb2.FileDescriptorProto] = {}

    def add(name: str) -> None:
        file = REGISTRY.files[name]
        if with_imports:
            for dependency in file.dependencies:
                add(dependency.name)
        chosen.setdefault(name, file.to_proto())

    for name in names:
        add(name)
    return descriptor_pb2.FileDescriptorSet(file=chosen.values()).SerializeToString()
