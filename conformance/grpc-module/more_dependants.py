"""More libraries that were written for grpcio, unmodified: each does its work against a fake of its service.

Run with grpcio and without it (see `prepare`): what is printed has to be the same. Exits with 1 if one fails.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import Iterator
from typing import Any

import grpc
from checking import Checks, serving, serving_generic
from google.protobuf.internal import api_implementation

check = Checks()


@check
def google_cloud_secret_manager() -> None:
    """Blocking and on asyncio, errors as exceptions of api_core."""
    from google.api_core.exceptions import NotFound
    from google.cloud import secretmanager_v1 as secrets
    from google.cloud.secretmanager_v1.services.secret_manager_service import transports
    from google.cloud.secretmanager_v1.types import (
        AccessSecretVersionRequest,
        AccessSecretVersionResponse,
        ListSecretsRequest,
        ListSecretsResponse,
        Secret,
        SecretPayload,
    )

    def access(request: Any, context: Any) -> Any:
        if "missing" in request.name:
            context.abort(grpc.StatusCode.NOT_FOUND, "no such secret")
        assert dict(context.invocation_metadata())["x-goog-request-params"].startswith("name=")
        return AccessSecretVersionResponse(name=request.name, payload=SecretPayload(data=b"hidden"))

    def listing(request: Any, context: Any) -> Any:
        page = int(request.page_token or 0)
        return ListSecretsResponse(
            secrets=[Secret(name=f"s{page}")], next_page_token="" if page == 2 else str(page + 1)
        )

    methods = {
        "AccessSecretVersion": (access, AccessSecretVersionRequest),
        "ListSecrets": (listing, ListSecretsRequest),
    }
    server, address = serving_generic("google.cloud.secretmanager.v1.SecretManagerService", methods)
    transport = transports.SecretManagerServiceGrpcTransport(channel=grpc.insecure_channel(address))
    client = secrets.SecretManagerServiceClient(transport=transport)
    assert client.access_secret_version(name="projects/p/secrets/s/versions/1").payload.data == b"hidden"
    assert [each.name for each in client.list_secrets(parent="projects/p")] == ["s0", "s1", "s2"]
    try:
        client.access_secret_version(name="missing")
    except NotFound as error:
        assert error.grpc_status_code is grpc.StatusCode.NOT_FOUND
    else:
        raise AssertionError("it was found")

    async def main() -> None:
        kind = transports.SecretManagerServiceGrpcAsyncIOTransport
        client = secrets.SecretManagerServiceAsyncClient(transport=kind(channel=grpc.aio.insecure_channel(address)))
        assert (await client.access_secret_version(name="a")).payload.data == b"hidden"
        assert [each.name async for each in await client.list_secrets(parent="projects/p")] == ["s0", "s1", "s2"]

    asyncio.run(main())
    server.stop(None)


@check
def google_cloud_speech() -> None:
    """Streaming recognition: requests and responses at once."""
    from google.cloud import speech_v1 as speech
    from google.cloud.speech_v1.services.speech.transports import SpeechGrpcTransport
    from google.cloud.speech_v1.types import StreamingRecognizeRequest, StreamingRecognizeResponse

    def recognize(requests: Iterator[Any], context: Any) -> Iterator[Any]:
        for request in requests:
            if request.audio_content:
                alternative = {"transcript": request.audio_content.decode()}
                yield StreamingRecognizeResponse(results=[{"alternatives": [alternative], "is_final": True}])

    methods = {"StreamingRecognize": (recognize, StreamingRecognizeRequest, "stream_stream")}
    server, address = serving_generic("google.cloud.speech.v1.Speech", methods)
    client = speech.SpeechClient(transport=SpeechGrpcTransport(channel=grpc.insecure_channel(address)))
    requests = (speech.StreamingRecognizeRequest(audio_content=word) for word in (b"one", b"two"))
    heard = client.streaming_recognize(speech.StreamingRecognitionConfig(), requests)
    assert [each.results[0].alternatives[0].transcript for each in heard] == ["one", "two"]
    server.stop(None)


@check
def google_cloud_bigquery_storage() -> None:
    """A stream of rows that breaks off, and is read on where it did."""
    from google.cloud import bigquery_storage_v1 as storage
    from google.cloud.bigquery_storage_v1.services.big_query_read.transports import BigQueryReadGrpcTransport
    from google.cloud.bigquery_storage_v1.types import ReadRowsRequest, ReadRowsResponse

    offsets: list[int] = []

    def read(request: Any, context: Any) -> Iterator[Any]:
        offsets.append(request.offset)
        for i in range(request.offset, 6):
            yield ReadRowsResponse(row_count=1, avro_rows={"serialized_binary_rows": bytes([i])})
            if i == 2:
                context.abort(grpc.StatusCode.UNAVAILABLE, "go on elsewhere")

    methods = {"ReadRows": (read, ReadRowsRequest, "unary_stream")}
    server, address = serving_generic("google.cloud.bigquery.storage.v1.BigQueryRead", methods)
    transport = BigQueryReadGrpcTransport(channel=grpc.insecure_channel(address))
    client = storage.BigQueryReadClient(transport=transport)
    rows = [each.avro_rows.serialized_binary_rows for each in client.read_rows("projects/p/streams/s")]
    assert rows == [bytes([i]) for i in range(6)], rows
    assert offsets == [0, 3], offsets
    server.stop(None)


@check
def google_cloud_logging() -> None:
    """Entries written through its gRPC transport."""
    from google.cloud.logging_v2.services.logging_service_v2 import LoggingServiceV2Client, transports
    from google.cloud.logging_v2.types import LogEntry, WriteLogEntriesRequest, WriteLogEntriesResponse

    written: list[str] = []

    def write(request: Any, context: Any) -> Any:
        written.extend(entry.text_payload for entry in request.entries)
        return WriteLogEntriesResponse()

    server, address = serving_generic(
        "google.logging.v2.LoggingServiceV2", {"WriteLogEntries": (write, WriteLogEntriesRequest)}
    )
    transport = transports.LoggingServiceV2GrpcTransport(channel=grpc.insecure_channel(address))
    client = LoggingServiceV2Client(transport=transport)
    client.write_log_entries(entries=[LogEntry(log_name="projects/p/logs/l", text_payload=text) for text in "ab"])
    assert written == ["a", "b"]
    server.stop(None)


def etcd3() -> None:
    """Put, get and a watch, which is one stream in both directions on a thread of its own."""
    import etcd3 as library
    from etcd3.etcdrpc import rpc_pb2, rpc_pb2_grpc

    store: dict[bytes, bytes] = {}

    class Keys(rpc_pb2_grpc.KVServicer):  # type: ignore[misc]
        def Put(self, request: Any, context: Any) -> Any:  # noqa: N802
            store[request.key] = request.value
            return rpc_pb2.PutResponse()

        def Range(self, request: Any, context: Any) -> Any:  # noqa: N802
            response = rpc_pb2.RangeResponse()
            if request.key in store:
                response.kvs.add(key=request.key, value=store[request.key])
                response.count = 1
            return response

    class Watch(rpc_pb2_grpc.WatchServicer):  # type: ignore[misc]
        def Watch(self, requests: Iterator[Any], context: Any) -> Iterator[Any]:  # noqa: N802
            next(requests)
            yield rpc_pb2.WatchResponse(watch_id=1, created=True)
            response = rpc_pb2.WatchResponse(watch_id=1)
            response.events.add().kv.value = b"changed"
            yield response
            for _ in requests:
                pass

    server, address = serving(rpc_pb2_grpc.add_KVServicer_to_server, Keys())
    rpc_pb2_grpc.add_WatchServicer_to_server(Watch(), server)
    client = library.client(host="127.0.0.1", port=int(address.rpartition(":")[2]))
    client.put("key", "value")
    assert client.get("key")[0] == b"value"
    assert client.get("other") == (None, None)
    events, cancel = client.watch("key")
    assert next(events).value == b"changed"
    cancel()
    client.close()
    server.stop(None)


@check
def pymilvus() -> None:
    """Its client, with interceptors for the database's name and the metadata."""
    from pymilvus import MilvusClient
    from pymilvus.grpc_gen import common_pb2, milvus_pb2, milvus_pb2_grpc

    class Milvus(milvus_pb2_grpc.MilvusServiceServicer):  # type: ignore[misc]
        def Connect(self, request: Any, context: Any) -> Any:  # noqa: N802
            return milvus_pb2.ConnectResponse(status=common_pb2.Status(), identifier=7)

        def ShowCollections(self, request: Any, context: Any) -> Any:  # noqa: N802
            return milvus_pb2.ShowCollectionsResponse(status=common_pb2.Status(), collection_names=["things"])

        def HasCollection(self, request: Any, context: Any) -> Any:  # noqa: N802
            return milvus_pb2.BoolResponse(status=common_pb2.Status(), value=True)

    server, address = serving(milvus_pb2_grpc.add_MilvusServiceServicer_to_server, Milvus())
    client = MilvusClient(f"http://{address}")
    assert client.list_collections() == ["things"]
    client.close()
    server.stop(None)


@check
def tritonclient() -> None:
    """Inference by one request, as a future with a callback, and by a stream; on asyncio."""
    import threading

    import numpy
    import tritonclient.grpc as triton
    import tritonclient.grpc.aio as triton_aio
    from tritonclient.grpc import service_pb2, service_pb2_grpc

    def answer(request: Any) -> Any:
        return service_pb2.ModelInferResponse(model_name=request.model_name, id=request.id)

    class Inference(service_pb2_grpc.GRPCInferenceServiceServicer):  # type: ignore[misc]
        def ServerLive(self, request: Any, context: Any) -> Any:  # noqa: N802
            return service_pb2.ServerLiveResponse(live=True)

        def ModelInfer(self, request: Any, context: Any) -> Any:  # noqa: N802
            if request.model_name == "none":
                context.abort(grpc.StatusCode.NOT_FOUND, "no such model")
            return answer(request)

        def ModelStreamInfer(self, requests: Iterator[Any], context: Any) -> Iterator[Any]:  # noqa: N802
            for request in requests:
                yield service_pb2.ModelStreamInferResponse(infer_response=answer(request))

    server, address = serving(service_pb2_grpc.add_GRPCInferenceServiceServicer_to_server, Inference())
    client = triton.InferenceServerClient(address)
    assert client.is_server_live()
    given = triton.InferInput("x", [1], "FP32")
    given.set_data_from_numpy(numpy.zeros(1, dtype=numpy.float32))
    assert client.infer("model", [given], request_id="1").get_response().id == "1"
    results: list[Any] = []
    arrived = threading.Event()

    def take(result: Any, error: Any) -> None:
        results.append(error or result.get_response().id)
        arrived.set()

    client.async_infer("model", [given], take, request_id="2")
    assert arrived.wait(10)
    arrived.clear()
    client.start_stream(take)
    client.async_stream_infer("model", [given], request_id="3")
    assert arrived.wait(10)
    client.stop_stream()
    assert results == ["2", "3"], results
    with contextlib.suppress(triton.InferenceServerException):
        client.infer("none", [given])
        raise AssertionError("there is no such model")
    client.close()

    async def main() -> None:
        async with triton_aio.InferenceServerClient(address) as client:
            assert (await client.infer("model", [given], request_id="4")).get_response().id == "4"

    asyncio.run(main())
    server.stop(None)


@check
def py_grpc_prometheus() -> None:
    """Its interceptors of both sides count calls of each shape."""
    from concurrent import futures

    from prometheus_client import CollectorRegistry
    from py_grpc_prometheus.prometheus_client_interceptor import PromClientInterceptor
    from py_grpc_prometheus.prometheus_server_interceptor import PromServerInterceptor

    registry, other = CollectorRegistry(), CollectorRegistry()
    server = grpc.server(futures.ThreadPoolExecutor(2), interceptors=[PromServerInterceptor(registry=registry)])
    handlers = {
        "One": grpc.unary_unary_rpc_method_handler(lambda request, context: request),
        "Many": grpc.unary_stream_rpc_method_handler(lambda request, context: iter([request] * 3)),
    }
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("a.B", handlers),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        counted = grpc.intercept_channel(channel, PromClientInterceptor(registry=other))
        assert counted.unary_unary("/a.B/One")(b"x") == b"x"
        assert list(counted.unary_stream("/a.B/Many")(b"x")) == [b"x"] * 3
    server.stop(None).wait(5)
    labels = {"grpc_type": "UNARY", "grpc_service": "a.B", "grpc_method": "One"}
    assert registry.get_sample_value("grpc_server_started_total", labels) == 1
    assert other.get_sample_value("grpc_client_started_total", labels) == 1


@check
def sentry_sdk() -> None:
    """Its integration patches channels and servers, blocking and on asyncio: each call has a span, and errors come."""
    import sentry_sdk as sentry
    from sentry_sdk.integrations.grpc import GRPCIntegration
    from sentry_sdk.transport import Transport

    items: list[Any] = []

    class Keeping(Transport):  # type: ignore[misc]
        def capture_envelope(self, envelope: Any) -> None:
            items.extend(item.payload.json for item in envelope.items)

    sentry.init("http://a@127.0.0.1/1", transport=Keeping, traces_sample_rate=1.0, integrations=[GRPCIntegration()])

    def echo(request: bytes, context: Any) -> bytes:
        if request == b"bad":
            raise ValueError("seen by sentry")
        return request

    async def async_echo(request: bytes, context: Any) -> bytes:
        return request

    server, address = serving_generic("a.B", {"Echo": grpc.unary_unary_rpc_method_handler(echo)})
    with sentry.start_transaction(name="client"), grpc.insecure_channel(address) as channel:
        assert channel.unary_unary("/a.B/Echo")(b"x") == b"x"
        with contextlib.suppress(grpc.RpcError):
            channel.unary_unary("/a.B/Echo")(b"bad")
    server.stop(None).wait(5)

    async def main() -> None:
        server = grpc.aio.server()
        handlers = {"Echo": grpc.unary_unary_rpc_method_handler(async_echo)}
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("a.B", handlers),))
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            assert await channel.unary_unary("/a.B/Echo")(b"async") == b"async"
        await server.stop(None)

    asyncio.run(main())
    sentry.flush()
    names = [item.get("transaction") for item in items if item.get("type") == "transaction"]
    assert names.count("/a.B/Echo") >= 2, names
    spans = [span["op"] for item in items for span in item.get("spans", ())]
    assert spans.count("grpc.client") == 2, spans
    errors = [value["value"] for item in items for value in item.get("exception", {}).get("values", ())]
    assert "seen by sentry" in errors, errors


@check
def authzed() -> None:
    """Its client, blocking and on asyncio, with a token in the metadata."""
    from authzed.api.v1 import (
        AsyncClient,
        InsecureClient,
        ReadSchemaRequest,
        ReadSchemaResponse,
        schema_service_pb2_grpc,
    )

    class Schema(schema_service_pb2_grpc.SchemaServiceServicer):  # type: ignore[misc]
        def ReadSchema(self, request: Any, context: Any) -> Any:  # noqa: N802
            token = dict(context.invocation_metadata()).get("authorization")
            return ReadSchemaResponse(schema_text=f"for {token}")

    server, address = serving(schema_service_pb2_grpc.add_SchemaServiceServicer_to_server, Schema())
    client = InsecureClient(address, "t0ken")
    assert client.ReadSchema(ReadSchemaRequest()).schema_text == "for Bearer t0ken"

    async def main() -> None:
        from grpcutil import insecure_bearer_token_credentials

        client = AsyncClient(address, insecure_bearer_token_credentials("other"))
        assert (await client.ReadSchema(ReadSchemaRequest())).schema_text == "for Bearer other"

    asyncio.run(main())
    server.stop(None)


def _healthy(handler: Any) -> None:
    handler.send_response(200)
    handler.send_header("Content-Length", "0")
    handler.end_headers()


@check
def dapr() -> None:
    """Its client, with interceptors and metadata, blocking and on asyncio."""
    import http.server
    import os
    import threading

    health = http.server.HTTPServer(("127.0.0.1", 0), http.server.SimpleHTTPRequestHandler)
    health.RequestHandlerClass.do_GET = health.RequestHandlerClass.do_HEAD = _healthy  # type: ignore[attr-defined]
    threading.Thread(target=health.serve_forever, daemon=True).start()
    os.environ["DAPR_HTTP_PORT"] = str(health.server_port)
    from dapr.aio.clients import DaprClient as AsyncDaprClient
    from dapr.clients import DaprClient
    from dapr.proto import api_v1
    from dapr.proto.runtime.v1 import dapr_pb2_grpc

    class Dapr(dapr_pb2_grpc.DaprServicer):  # type: ignore[misc]
        def GetState(self, request: Any, context: Any) -> Any:  # noqa: N802
            context.send_initial_metadata((("seen", "yes"),))
            return api_v1.GetStateResponse(data=request.key.encode(), etag="1")

    server, address = serving(dapr_pb2_grpc.add_DaprServicer_to_server, Dapr())
    with DaprClient(address) as client:
        assert client.get_state("store", "key").data == b"key"

    async def main() -> None:
        async with AsyncDaprClient(address) as client:
            assert (await client.get_state("store", "other")).data == b"other"

    asyncio.run(main())
    server.stop(None)
    health.shutdown()


@check
def ydb() -> None:
    """A driver that asks for endpoints, and opens a session."""
    import ydb as library
    from ydb._grpc.v6 import ydb_discovery_v1_pb2_grpc as discovery_grpc
    from ydb._grpc.v6.protos import ydb_discovery_pb2 as messages
    from ydb._grpc.v6.protos import ydb_status_codes_pb2 as codes

    class Discovery(discovery_grpc.DiscoveryServiceServicer):  # type: ignore[misc]
        def ListEndpoints(self, request: Any, context: Any) -> Any:  # noqa: N802
            response = messages.ListEndpointsResponse()
            response.operation.ready, response.operation.status = True, codes.StatusIds.SUCCESS
            result = messages.ListEndpointsResult()
            host, _, port = address.rpartition(":")
            result.endpoints.add(address=host, port=int(port))
            response.operation.result.Pack(result)
            return response

    server, address = serving(discovery_grpc.add_DiscoveryServiceServicer_to_server, Discovery())
    driver = library.Driver(library.DriverConfig(f"grpc://{address}", database="/local"))
    driver.wait(timeout=10, fail_fast=True)
    assert "127.0.0.1" in driver.discovery_debug_details() or not driver.discovery_debug_details()
    driver.stop()
    server.stop(None)


if api_implementation.Type() == "python":
    check(etcd3)  # its generated code is of a time before protobuf's native backend

if __name__ == "__main__":
    sys.exit(check.run())
