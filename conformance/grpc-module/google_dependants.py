"""Google's databases and the pool of channels of its clouds, unmodified, as `other_dependants`."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from collections.abc import Iterator
from concurrent import futures
from typing import Any

import grpc
from checking import Checks, serving, serving_generic
from google.protobuf.internal import api_implementation

check = Checks()


@check
def google_cloud_bigtable() -> None:
    """Its data client, which retries a stream of rows that breaks off, blocking and on asyncio."""
    from google.auth.credentials import AnonymousCredentials
    from google.cloud.bigtable.data import BigtableDataClient, BigtableDataClientAsync
    from google.cloud.bigtable_v2.types import (
        MutateRowRequest,
        MutateRowResponse,
        PingAndWarmRequest,
        PingAndWarmResponse,
        ReadRowsRequest,
        ReadRowsResponse,
    )

    asked: list[Any] = []

    def chunk(key: bytes) -> Any:
        cell = ReadRowsResponse.CellChunk(
            row_key=key, family_name="f", qualifier=b"q", value=b"v" + key, commit_row=True
        )
        return ReadRowsResponse(chunks=[cell])

    def read(request: Any, context: Any) -> Iterator[Any]:
        asked.append(request)
        first = len(asked) % 2
        for key in (b"a", b"b") if first else (b"c",):
            yield chunk(key)
        if first:
            context.abort(grpc.StatusCode.UNAVAILABLE, "elsewhere")

    def mutate(request: Any, context: Any) -> Any:
        return MutateRowResponse()

    methods = {
        "ReadRows": (read, ReadRowsRequest, "unary_stream"),
        "MutateRow": (mutate, MutateRowRequest),
        "PingAndWarm": (lambda request, context: PingAndWarmResponse(), PingAndWarmRequest),
    }
    server, address = serving_generic("google.bigtable.v2.Bigtable", methods)
    os.environ["BIGTABLE_EMULATOR_HOST"] = address
    try:
        with BigtableDataClient(project="p", credentials=AnonymousCredentials()) as client:
            table = client.get_table("i", "t")
            assert [row.row_key for row in table.read_rows({})] == [b"a", b"b", b"c"]
            assert len(asked) == 2

        async def main() -> None:
            async with BigtableDataClientAsync(project="p", credentials=AnonymousCredentials()) as client:
                table = client.get_table("i", "t")
                rows = await table.read_rows({})
                assert [row.cells[0].value for row in rows] == [b"va", b"vb", b"vc"]

        asyncio.run(main())
    finally:
        del os.environ["BIGTABLE_EMULATOR_HOST"]
    server.stop(None)


@check
def google_cloud_spanner() -> None:
    """A session, and a query whose stream breaks off and is resumed by its token."""
    from google.auth.credentials import AnonymousCredentials
    from google.cloud import spanner
    from google.cloud.spanner_v1.types import (
        BatchCreateSessionsRequest,
        BatchCreateSessionsResponse,
        CreateSessionRequest,
        DeleteSessionRequest,
        ExecuteSqlRequest,
        PartialResultSet,
        ResultSetMetadata,
        Session,
        StructType,
        Type,
        TypeCode,
    )
    from google.protobuf import empty_pb2
    from google.protobuf.struct_pb2 import Value

    name = "projects/p/instances/i/databases/d/sessions/s"
    tokens: list[bytes] = []

    def create(request: Any, context: Any) -> Any:
        return Session(name=name, multiplexed=request.session.multiplexed)

    def execute(request: Any, context: Any) -> Iterator[Any]:
        tokens.append(request.resume_token)
        kind = Type(code=TypeCode.STRING)
        metadata = ResultSetMetadata(row_type=StructType(fields=[StructType.Field(name="x", type_=kind)]))
        part = PartialResultSet.pb(PartialResultSet(metadata=metadata, resume_token=b"after the first"))
        if not request.resume_token:
            part.values.append(Value(string_value="one"))
            yield PartialResultSet.wrap(part)
            context.abort(grpc.StatusCode.UNAVAILABLE, "elsewhere")
        part.values.append(Value(string_value="two"))
        yield PartialResultSet.wrap(part)

    methods = {
        "CreateSession": (create, CreateSessionRequest),
        "BatchCreateSessions": (
            lambda request, context: BatchCreateSessionsResponse(session=[Session(name=name)]),
            BatchCreateSessionsRequest,
        ),
        "ExecuteStreamingSql": (execute, ExecuteSqlRequest, "unary_stream"),
        "DeleteSession": grpc.unary_unary_rpc_method_handler(
            lambda request, context: empty_pb2.Empty(),
            DeleteSessionRequest.deserialize,
            empty_pb2.Empty.SerializeToString,
        ),
    }
    server, address = serving_generic("google.spanner.v1.Spanner", methods)
    os.environ["SPANNER_EMULATOR_HOST"] = address
    os.environ["SPANNER_DISABLE_BUILTIN_METRICS"] = "true"
    try:
        client = spanner.Client(project="p", credentials=AnonymousCredentials())
        database = client.instance("i").database("d")
        with database.snapshot() as snapshot:
            assert [row[0] for row in snapshot.execute_sql("SELECT 1")] == ["one", "two"]
        assert tokens == [b"", b"after the first"], tokens
    finally:
        del os.environ["SPANNER_EMULATOR_HOST"]
    server.stop(None)


def grpcio_gcp() -> None:
    """A pool of channels that binds calls to one of them by a key, and hands on what calls are."""
    import grpc_gcp as library

    def echo(request: bytes, context: Any) -> bytes:
        return request

    def many(request: bytes, context: Any) -> Iterator[bytes]:
        yield from [request] * 3

    handlers = {
        "Echo": grpc.unary_unary_rpc_method_handler(echo),
        "Many": grpc.unary_stream_rpc_method_handler(many),
    }
    server, address = serving_generic("a.B", handlers)
    config = library.api_config_from_text_pb("channel_pool: { max_size: 3 max_concurrent_streams_low_watermark: 1 }")
    channel = library.insecure_channel(address, options=((library.API_CONFIG_CHANNEL_ARG, config),))
    assert channel.unary_unary("/a.B/Echo")(b"x", timeout=20) == b"x"
    assert channel.unary_unary("/a.B/Echo").future(b"y").result(20) == b"y"
    assert list(channel.unary_stream("/a.B/Many")(b"z", timeout=20)) == [b"z"] * 3
    states: list[Any] = []
    ready = threading.Event()
    channel.subscribe(
        lambda state: (states.append(state), ready.set() if state is grpc.ChannelConnectivity.READY else None),
        try_to_connect=True,
    )
    assert ready.wait(20), states
    channel.close()
    server.stop(None)


if api_implementation.Type() == "python":
    check(grpcio_gcp)  # its generated code is of a time before protobuf's native backend


@check
def google_operations() -> None:
    """Long-running operations of google.api_core: polled, cancelled, waited for by callbacks; both kinds."""
    from google.api_core import operation, retry
    from google.cloud import videointelligence_v1 as library
    from google.cloud.videointelligence_v1.services.video_intelligence_service import transports
    from google.longrunning import operations_pb2, operations_pb2_grpc
    from google.protobuf import empty_pb2

    asked: list[str] = []

    class Operations(operations_pb2_grpc.OperationsServicer):  # type: ignore[misc]
        def GetOperation(self, request: Any, context: Any) -> Any:  # noqa: N802
            asked.append("get")
            found = operations_pb2.Operation(name="op")
            if len(asked) % 3 == 0:
                found.done = True
                results = library.AnnotateVideoResponse(annotation_results=[{"input_uri": "u"}])
                found.response.Pack(library.AnnotateVideoResponse.pb(results))
            return found

        def CancelOperation(self, request: Any, context: Any) -> Any:  # noqa: N802
            asked.append("cancel")
            return empty_pb2.Empty()

    handler = grpc.unary_unary_rpc_method_handler(
        lambda request, context: operations_pb2.Operation(name="op"),
        library.AnnotateVideoRequest.deserialize,
        operations_pb2.Operation.SerializeToString,
    )
    service = "google.cloud.videointelligence.v1.VideoIntelligenceService"
    generic = grpc.method_handlers_generic_handler(service, {"AnnotateVideo": handler})

    def add(servicer: Any, server: grpc.Server) -> None:
        operations_pb2_grpc.add_OperationsServicer_to_server(servicer, server)
        server.add_generic_rpc_handlers((generic,))

    server, address = serving(add, Operations())
    request: Any = {"input_uri": "gs://x", "features": [1]}
    transport: Any = transports.VideoIntelligenceServiceGrpcTransport(channel=grpc.insecure_channel(address))
    begun = library.VideoIntelligenceServiceClient(transport=transport).annotate_video(request=request)
    begun._polling = retry.Retry(
        initial=0.01, maximum=0.02, predicate=operation.polling.DEFAULT_POLLING._predicate, timeout=20
    )
    assert begun.running()
    assert begun.cancel()
    called: futures.Future[Any] = futures.Future()
    begun.add_done_callback(called.set_result)
    assert begun.result(timeout=20).annotation_results[0].input_uri == "u"
    assert called.result(20) is begun
    assert "cancel" in asked

    async def main() -> None:
        channel = grpc.aio.insecure_channel(address)
        transport: Any = transports.VideoIntelligenceServiceGrpcAsyncIOTransport(channel=channel)
        client = library.VideoIntelligenceServiceAsyncClient(transport=transport)
        begun = await client.annotate_video(request=request)
        assert (await begun.result(timeout=30)).annotation_results[0].input_uri == "u"
        await transport.close()

    asyncio.run(main())
    server.stop(0)


if __name__ == "__main__":
    sys.exit(check.run())
