"""Libraries that were written for grpcio, unmodified, on grpc-module: each does its work against a server of this file.

Run in an environment without grpcio's code (see `prepare`). Prints a line for each, and exits with 1 if one fails.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
import threading
import time
from collections.abc import Iterator
from concurrent import futures
from typing import Any

import grpc
from checking import Checks, serving

check = Checks()


@check
def opentelemetry_exporter_otlp_proto_grpc() -> None:
    """Traces and metrics to a collector that fails at first."""
    from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter
    from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
    from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2, metrics_service_pb2_grpc
    from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor

    spans: list[Any] = []
    metrics: list[Any] = []

    class Traces(trace_service_pb2_grpc.TraceServiceServicer):
        failures = 1

        def Export(self, request: Any, context: Any) -> Any:  # noqa: N802
            if self.failures:
                self.failures -= 1
                context.abort(grpc.StatusCode.UNAVAILABLE, "not yet")
            spans.extend(s.name for r in request.resource_spans for g in r.scope_spans for s in g.spans)
            return trace_service_pb2.ExportTraceServiceResponse()

    class Metrics(metrics_service_pb2_grpc.MetricsServiceServicer):
        def Export(self, request: Any, context: Any) -> Any:  # noqa: N802
            metrics.extend(m.name for r in request.resource_metrics for g in r.scope_metrics for m in g.metrics)
            return metrics_service_pb2.ExportMetricsServiceResponse()

    server, address = serving(trace_service_pb2_grpc.add_TraceServiceServicer_to_server, Traces())
    other, metrics_address = serving(metrics_service_pb2_grpc.add_MetricsServiceServicer_to_server, Metrics())
    provider = TracerProvider()
    provider.add_span_processor(
        SimpleSpanProcessor(OTLPSpanExporter(endpoint=address, insecure=True, compression=grpc.Compression.Gzip))
    )
    with provider.get_tracer("check").start_as_current_span("a span"):
        pass
    provider.shutdown()
    reader = PeriodicExportingMetricReader(OTLPMetricExporter(endpoint=metrics_address, insecure=True))
    meters = MeterProvider([reader])
    meters.get_meter("check").create_counter("a_counter").add(1)
    meters.force_flush()
    meters.shutdown()
    server.stop(None)
    other.stop(None)
    assert spans == ["a span"], spans
    assert "a_counter" in metrics, metrics


@check
def opentelemetry_instrumentation_grpc() -> None:
    """Spans of calls, on both sides, blocking and on asyncio."""
    from opentelemetry.instrumentation.grpc import (
        aio_client_interceptors,
        aio_server_interceptor,
        client_interceptor,
        server_interceptor,
    )
    from opentelemetry.instrumentation.grpc.grpcext import intercept_channel
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))

    def echo(request: bytes, context: Any) -> bytes:
        if request == b"bad":
            context.abort(grpc.StatusCode.NOT_FOUND, "no")
        return request

    async def async_echo(request: bytes, context: Any) -> bytes:
        return request

    server = grpc.server(futures.ThreadPoolExecutor(2), interceptors=[server_interceptor(tracer_provider=provider)])
    handlers = {"Echo": grpc.unary_unary_rpc_method_handler(echo)}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("a.B", handlers),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    with grpc.insecure_channel(f"127.0.0.1:{port}") as plain:
        channel = intercept_channel(plain, client_interceptor(tracer_provider=provider))
        method = channel.unary_unary("/a.B/Echo")
        assert method(b"x") == b"x"
        try:
            method(b"bad")
        except grpc.RpcError as error:
            assert error.code() is grpc.StatusCode.NOT_FOUND  # type: ignore[attr-defined]
    server.stop(None)

    async def main() -> None:
        server = grpc.aio.server(interceptors=[aio_server_interceptor(tracer_provider=provider)])
        handlers = {"Echo": grpc.unary_unary_rpc_method_handler(async_echo)}
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("a.B", handlers),))
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        interceptors = aio_client_interceptors(tracer_provider=provider)
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}", interceptors=interceptors) as channel:
            assert await channel.unary_unary("/a.B/Echo")(b"y") == b"y"
        await server.stop(None)

    asyncio.run(main())
    kinds = sorted(span.kind.name for span in exporter.get_finished_spans())
    assert kinds == ["CLIENT"] * 3 + ["SERVER"] * 3, kinds


@check
def google_cloud_pubsub() -> None:
    """Publishing in batches, retries of api_core, a streaming pull with acknowledgements, and the async client."""
    from google.cloud import pubsub_v1
    from google.cloud.pubsub_v1.types import PubsubMessage, ReceivedMessage
    from google.protobuf.empty_pb2 import Empty
    from google.pubsub_v1 import types
    from google.pubsub_v1.services.publisher import PublisherAsyncClient
    from google.pubsub_v1.services.publisher.transports import PublisherGrpcAsyncIOTransport, PublisherGrpcTransport
    from google.pubsub_v1.services.subscriber.transports import SubscriberGrpcTransport

    published: list[bytes] = []
    acknowledged: list[str] = []
    failures = [1]

    def publish(request: Any, context: Any) -> Any:
        if failures:
            failures.pop()
            context.abort(grpc.StatusCode.UNAVAILABLE, "not yet")
        published.extend(message.data for message in request.messages)
        return types.PublishResponse(message_ids=[str(i) for i in range(len(request.messages))])

    def streaming_pull(requests: Iterator[Any], context: Any) -> Iterator[Any]:
        def watch() -> None:
            with contextlib.suppress(grpc.RpcError):  # the client has gone
                for request in requests:
                    acknowledged.extend(request.ack_ids)

        next(requests)
        threading.Thread(target=watch, daemon=True).start()
        messages = [
            ReceivedMessage(ack_id=str(i), message=PubsubMessage(data=data, message_id=str(i)))
            for i, data in enumerate(published)
        ]
        yield types.StreamingPullResponse(received_messages=messages)
        while context.is_active() and time.monotonic() < until:
            time.sleep(0.05)

    def acknowledge(request: Any, context: Any) -> Any:
        acknowledged.extend(request.ack_ids)
        return Empty()

    def modify(request: Any, context: Any) -> Any:
        return Empty()

    def unary(behavior: Any, request: Any) -> Any:
        def serialize(response: Any) -> bytes:
            kind = type(response)
            return kind.serialize(response) if hasattr(kind, "serialize") else response.SerializeToString()

        return grpc.unary_unary_rpc_method_handler(behavior, request.deserialize, serialize)

    until = time.monotonic() + 20
    server = grpc.server(futures.ThreadPoolExecutor(8))
    handlers = {
        "google.pubsub.v1.Publisher": {"Publish": unary(publish, types.PublishRequest)},
        "google.pubsub.v1.Subscriber": {
            "StreamingPull": grpc.stream_stream_rpc_method_handler(
                streaming_pull, types.StreamingPullRequest.deserialize, types.StreamingPullResponse.serialize
            ),
            "Acknowledge": unary(acknowledge, types.AcknowledgeRequest),
            "ModifyAckDeadline": unary(modify, types.ModifyAckDeadlineRequest),
        },
    }
    for service, methods in handlers.items():
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, methods),))
    address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    server.start()
    publisher = pubsub_v1.PublisherClient(transport=PublisherGrpcTransport(channel=grpc.insecure_channel(address)))
    results = [publisher.publish("projects/p/topics/t", str(i).encode()) for i in range(20)]
    assert [len(result.result(timeout=20)) > 0 for result in results] == [True] * 20
    assert sorted(published) == sorted(str(i).encode() for i in range(20))

    received: list[bytes] = []
    everything = threading.Event()

    def callback(message: Any) -> None:
        received.append(message.data)
        message.ack()
        if len(received) == 20:
            everything.set()

    subscriber = pubsub_v1.SubscriberClient(transport=SubscriberGrpcTransport(channel=grpc.insecure_channel(address)))
    pulling = subscriber.subscribe("projects/p/subscriptions/s", callback)
    assert everything.wait(20), len(received)
    deadline = time.monotonic() + 10
    while len(set(acknowledged)) < 20 and time.monotonic() < deadline:
        time.sleep(0.05)
    pulling.cancel()
    pulling.result(timeout=20)
    assert len(set(acknowledged)) == 20, acknowledged
    subscriber.close()

    async def main() -> None:
        transport = PublisherGrpcAsyncIOTransport(channel=grpc.aio.insecure_channel(address))
        client = PublisherAsyncClient(transport=transport)
        response = await client.publish(topic="projects/p/topics/t", messages=[PubsubMessage(data=b"async")])
        assert len(response.message_ids) == 1

    asyncio.run(main())
    assert published[-1] == b"async"
    server.stop(None)


@check
def google_cloud_firestore() -> None:
    """Documents got by a stream, and a commit."""
    from google.auth.credentials import AnonymousCredentials
    from google.cloud import firestore
    from google.cloud.firestore_v1 import types
    from google.cloud.firestore_v1.services.firestore import FirestoreClient
    from google.cloud.firestore_v1.services.firestore.transports import FirestoreGrpcTransport

    committed: list[Any] = []

    def get(request: Any, context: Any) -> Iterator[Any]:
        for name in request.documents:
            document = types.Document(name=name, fields={"answer": types.Value(integer_value=42)})
            yield types.BatchGetDocumentsResponse(found=document, read_time={"seconds": 1})

    def commit(request: Any, context: Any) -> Any:
        committed.extend(request.writes)
        return types.CommitResponse(write_results=[types.WriteResult(update_time={"seconds": 1})] * len(request.writes))

    def listing(request: Any, context: Any) -> Iterator[Any]:
        for i in range(3):
            name = f"{request.parent}/things/{i}"
            document = types.Document(name=name, fields={"i": types.Value(integer_value=i)})
            yield types.RunQueryResponse(document=document, read_time={"seconds": 1})

    server = grpc.server(futures.ThreadPoolExecutor(4))
    handlers = {
        "BatchGetDocuments": grpc.unary_stream_rpc_method_handler(
            get, types.BatchGetDocumentsRequest.deserialize, types.BatchGetDocumentsResponse.serialize
        ),
        "Commit": grpc.unary_unary_rpc_method_handler(
            commit, types.CommitRequest.deserialize, types.CommitResponse.serialize
        ),
        "RunQuery": grpc.unary_stream_rpc_method_handler(
            listing, types.RunQueryRequest.deserialize, types.RunQueryResponse.serialize
        ),
    }
    service = "google.firestore.v1.Firestore"
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, handlers),))
    address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    server.start()
    client = firestore.Client(project="p", credentials=AnonymousCredentials())
    transport = FirestoreGrpcTransport(channel=grpc.insecure_channel(address))
    client._firestore_api_internal = FirestoreClient(transport=transport)
    assert client.collection("things").document("one").get().to_dict() == {"answer": 42}
    client.collection("things").document("two").set({"a": 1})
    assert len(committed) == 1
    assert [each.to_dict() for each in client.collection("things").stream()] == [{"i": 0}, {"i": 1}, {"i": 2}]
    server.stop(None)


@check
def qdrant_client() -> None:
    """Its gRPC client, blocking and on asyncio."""
    from qdrant_client import AsyncQdrantClient, QdrantClient
    from qdrant_client import grpc as messages
    from qdrant_client.grpc.collections_service_pb2_grpc import (
        CollectionsServicer,
        add_CollectionsServicer_to_server,
    )

    class Collections(CollectionsServicer):  # type: ignore[misc]
        def List(self, request: Any, context: Any) -> Any:  # noqa: N802
            return messages.ListCollectionsResponse(collections=[messages.CollectionDescription(name="things")])

    server, address = serving(add_CollectionsServicer_to_server, Collections())
    port = int(address.rpartition(":")[2])
    options = {"grpc_port": port, "prefer_grpc": True, "check_compatibility": False, "host": "127.0.0.1"}
    client = QdrantClient(**options)
    assert [each.name for each in client.get_collections().collections] == ["things"]
    client.close()

    async def main() -> None:
        client = AsyncQdrantClient(**options)
        assert [each.name for each in (await client.get_collections()).collections] == ["things"]
        await client.close()

    asyncio.run(main())
    server.stop(None)


@check
def grpc_interceptor() -> None:
    """Its interceptors of clients and servers, with exceptions as statuses."""
    from grpc_interceptor import ClientInterceptor, ExceptionToStatusInterceptor
    from grpc_interceptor.exceptions import NotFound

    class Counting(ClientInterceptor):  # type: ignore[misc]
        calls = 0

        def intercept(self, method: Any, request_or_iterator: Any, call_details: Any) -> Any:
            self.calls += 1
            return method(request_or_iterator, call_details)

    def refuse(request: bytes, context: Any) -> bytes:
        raise NotFound("no such thing")

    server = grpc.server(futures.ThreadPoolExecutor(2), interceptors=[ExceptionToStatusInterceptor()])
    handlers = {"Call": grpc.unary_unary_rpc_method_handler(refuse)}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("a.B", handlers),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    counting = Counting()
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        try:
            grpc.intercept_channel(channel, counting).unary_unary("/a.B/Call")(b"")
        except grpc.RpcError as error:
            found: Any = error
            assert (found.code(), found.details()) == (grpc.StatusCode.NOT_FOUND, "no such thing")
    assert counting.calls == 1
    server.stop(None)


if __name__ == "__main__":
    sys.exit(check.run())
