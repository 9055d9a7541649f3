"""Libraries of recent years that were written for grpcio, unmodified: their own servers are played here.

As `more_dependants`, in an environment of its own (see `prepare`); `pinecone`, whose messages are older, in another.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
import threading
import uuid
from collections.abc import AsyncIterator, Iterator
from concurrent import futures
from datetime import timedelta
from pathlib import Path
from typing import Any

import grpc
from checking import Checks, self_signed, serving

check = Checks()


def started(*services: tuple[Any, Any]) -> tuple[grpc.Server, int]:
    """A server of several services: pairs of what adds one and its servicer."""
    server = grpc.server(futures.ThreadPoolExecutor(12))
    for add, servicer in services:
        add(servicer, server)
    port = int(server.add_insecure_port("127.0.0.1:0"))
    server.start()
    return server, port


@check
def pyspark_connect() -> None:
    """A session: configs, plans whose stream of results is cut and gone on with, an upload of parts, an interrupt."""
    import pyarrow
    from pyspark.sql.connect.proto import base_pb2, base_pb2_grpc

    seen: list[Any] = []

    class Spark(base_pb2_grpc.SparkConnectServiceServicer):  # type: ignore[misc]
        is_to_be_cut = True

        def _answer(self, kind: Any, request: Any, **fields: Any) -> Any:
            return kind(session_id=request.session_id, server_side_session_id="s", **fields)

        def Config(self, request: Any, context: Any) -> Any:  # noqa: N802
            response = self._answer(base_pb2.ConfigResponse, request)
            for pair in request.operation.get_with_default.pairs:
                response.pairs.add(key=pair.key, value=pair.value or "false")
            for key in request.operation.get.keys:
                response.pairs.add(key=key, value="UTC" if "Zone" in key else "false")
            return response

        def AnalyzePlan(self, request: Any, context: Any) -> Any:  # noqa: N802
            response = self._answer(base_pb2.AnalyzePlanResponse, request)
            response.spark_version.version = "4.0.0"
            return response

        def ExecutePlan(self, request: Any, context: Any) -> Iterator[Any]:  # noqa: N802
            seen.append(("execute", dict(context.invocation_metadata()).get("x-who")))
            table = pyarrow.table({"a": [1, 2, 3]})
            sink = pyarrow.BufferOutputStream()
            with pyarrow.ipc.new_stream(sink, table.schema) as writer:
                writer.write_table(table)
            kind, number = base_pb2.ExecutePlanResponse, request.operation_id
            response = self._answer(kind, request, operation_id=number, response_id="1")
            field = response.schema.struct.fields.add(name="a")
            field.data_type.long.SetInParent()
            yield response
            response = self._answer(kind, request, operation_id=number, response_id="2")
            response.arrow_batch.row_count = 3
            response.arrow_batch.data = sink.getvalue().to_pybytes()
            yield response
            if self.is_to_be_cut:
                self.is_to_be_cut = False
                context.abort(grpc.StatusCode.UNAVAILABLE, "cut")
            yield self._end(request)

        def _end(self, request: Any) -> Any:
            kind, number = base_pb2.ExecutePlanResponse, request.operation_id
            response = self._answer(kind, request, operation_id=number, response_id="3")
            response.result_complete.SetInParent()
            return response

        def ReattachExecute(self, request: Any, context: Any) -> Iterator[Any]:  # noqa: N802
            seen.append(("reattach", request.last_response_id))
            yield self._end(request)

        def ReleaseExecute(self, request: Any, context: Any) -> Any:  # noqa: N802
            return self._answer(base_pb2.ReleaseExecuteResponse, request)

        def ReleaseSession(self, request: Any, context: Any) -> Any:  # noqa: N802
            seen.append(("released",))
            return self._answer(base_pb2.ReleaseSessionResponse, request)

        def Interrupt(self, request: Any, context: Any) -> Any:  # noqa: N802
            return self._answer(base_pb2.InterruptResponse, request, interrupted_ids=["x"])

        def ArtifactStatus(self, request: Any, context: Any) -> Any:  # noqa: N802
            return base_pb2.ArtifactStatusesResponse(session_id=request.session_id)

        def AddArtifacts(self, requests: Any, context: Any) -> Any:  # noqa: N802
            seen.append(("artifacts", [request.batch.artifacts[0].name for request in requests]))
            return base_pb2.AddArtifactsResponse()

    server, address = serving(base_pb2_grpc.add_SparkConnectServiceServicer_to_server, Spark())
    from pyspark.sql.connect.session import SparkSession

    session = SparkSession.builder.remote(f"sc://{address}/;x-who=me").create()
    assert session.version == "4.0.0"
    assert [row.a for row in session.range(3).collect()] == [1, 2, 3]
    assert session.range(3).toPandas()["a"].tolist() == [1, 2, 3]
    assert session.interruptAll() == ["x"]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "part.py")
        path.write_text("1")
        session.addArtifact(str(path), pyfile=True)
    session.stop()
    assert ("execute", "me") in seen, seen
    assert ("reattach", "2") in seen, seen
    assert ("artifacts", ["pyfiles/part.py"]) in seen, seen
    assert seen[-1] == ("released",), seen
    server.stop(0)


@check
def momento() -> None:
    """A cache and topics, blocking and on asyncio: middlewares around calls, retries, eager connections, streams."""
    from momento import (
        CacheClient,
        CacheClientAsync,
        Configurations,
        CredentialProvider,
        TopicClient,
        TopicClientAsync,
        TopicConfigurations,
    )
    from momento.config.middleware.synchronous import Middleware, MiddlewareRequestHandler
    from momento.responses import CacheDelete, CacheGet, CacheSet, CreateCache
    from momento_wire_types import cacheclient_pb2 as cache
    from momento_wire_types import cacheclient_pb2_grpc as cache_grpc
    from momento_wire_types import cachepubsub_pb2 as topics
    from momento_wire_types import cachepubsub_pb2_grpc as topics_grpc
    from momento_wire_types import controlclient_pb2 as control
    from momento_wire_types import controlclient_pb2_grpc as control_grpc

    kept: dict[bytes, bytes] = {}
    statuses: list[Any] = []
    failures: list[int] = []

    class Cache(cache_grpc.ScsServicer):  # type: ignore[misc]
        def Get(self, request: Any, context: Any) -> Any:  # noqa: N802
            if failures:
                failures.pop()
                context.abort(grpc.StatusCode.UNAVAILABLE, "again")
            found = kept.get(request.cache_key)
            return cache._GetResponse(result=cache.Miss if found is None else cache.Hit, cache_body=found or b"")

        def Set(self, request: Any, context: Any) -> Any:  # noqa: N802
            kept[request.cache_key] = request.cache_body
            return cache._SetResponse(result=cache.Ok)

        def Delete(self, request: Any, context: Any) -> Any:  # noqa: N802
            context.set_trailing_metadata((("err", "item_not_found"),))
            context.abort(grpc.StatusCode.NOT_FOUND, "no such cache")

    class Control(control_grpc.ScsControlServicer):  # type: ignore[misc]
        def CreateCache(self, request: Any, context: Any) -> Any:  # noqa: N802
            return control._CreateCacheResponse()

    class Topics(topics_grpc.PubsubServicer):  # type: ignore[misc]
        def Subscribe(self, request: Any, context: Any) -> Iterator[Any]:  # noqa: N802
            over = threading.Event()
            context.add_callback(over.set)
            item = topics._SubscriptionItem()
            item.heartbeat.SetInParent()
            yield item
            for number in range(3):
                item = topics._SubscriptionItem()
                item.item.topic_sequence_number = number
                item.item.value.text = f"t{number}"
                yield item
            over.wait(20)

    class Watching(MiddlewareRequestHandler):  # type: ignore[misc]
        def on_request_metadata(self, metadata: Any) -> Any:
            return metadata

        def on_request_body(self, body: Any) -> Any:
            return body

        def on_response_metadata(self, metadata: Any) -> Any:
            return metadata

        def on_response_body(self, body: Any) -> Any:
            return body

        def on_response_status(self, status: Any) -> Any:
            statuses.append(status.grpc_status)
            return status

    class Watch(Middleware):  # type: ignore[misc]
        def on_new_request(self, context: Any) -> Any:
            return Watching()

    server, port = started(
        (cache_grpc.add_ScsServicer_to_server, Cache()),
        (control_grpc.add_ScsControlServicer_to_server, Control()),
        (topics_grpc.add_PubsubServicer_to_server, Topics()),
    )
    credentials = CredentialProvider.for_momento_local("127.0.0.1", port)
    config, while_kept = Configurations.Laptop.latest(), timedelta(seconds=60)
    failures.extend((1, 1))
    watched = config.with_middlewares([Watch()])
    eager = timedelta(seconds=5)
    with CacheClient.create(watched, credentials, while_kept, eager_connection_timeout=eager) as client:
        assert isinstance(client.create_cache("cache"), CreateCache.Success)
        assert isinstance(client.set("cache", "k", "v"), CacheSet.Success)
        found = client.get("cache", "k")
        assert isinstance(found, CacheGet.Hit), found
        assert isinstance(client.get("cache", "none"), CacheGet.Miss)
        failed = client.delete("cache", "k")
        assert isinstance(failed, CacheDelete.Error)
        assert failed.inner_exception.transport_details.grpc.metadata["err"] == "item_not_found", failed
    assert not failures
    assert statuses[-1] is grpc.StatusCode.NOT_FOUND, statuses
    with TopicClient(TopicConfigurations.Default.v1(), credentials) as client:
        subscription = client.subscribe("cache", "topic")
        assert [next(subscription).value for _ in range(3)] == ["t0", "t1", "t2"]
        subscription.unsubscribe()

    async def main() -> None:
        failures.append(1)
        async with await CacheClientAsync.create(
            config, credentials, while_kept, eager_connection_timeout=eager
        ) as client:
            assert isinstance(await client.get("cache", "k"), CacheGet.Hit)
            assert isinstance(await client.delete("cache", "k"), CacheDelete.Error)
        async with TopicClientAsync(TopicConfigurations.Default.v1(), credentials) as client:
            subscription = await client.subscribe("cache", "topic")
            assert [(await anext(subscription)).value for _ in range(3)] == ["t0", "t1", "t2"]
            subscription.unsubscribe()

    asyncio.run(main())
    server.stop(0)


@check
def xai_sdk() -> None:
    """Interceptors that replace the details of calls, retries by a service config, streams; blocking and on asyncio."""
    import xai_sdk as library
    from xai_sdk.chat import user
    from xai_sdk.proto.v6 import chat_pb2, chat_pb2_grpc

    seen: list[Any] = []

    class Chat(chat_pb2_grpc.ChatServicer):  # type: ignore[misc]
        failures = 1

        def _look(self, context: Any) -> None:
            seen.append((dict(context.invocation_metadata()).get("authorization"), context.time_remaining() < 30))

        def GetCompletion(self, request: Any, context: Any) -> Any:  # noqa: N802
            self._look(context)
            if self.failures:
                self.failures -= 1
                context.abort(grpc.StatusCode.UNAVAILABLE, "not yet")
            response = chat_pb2.GetChatCompletionResponse(id="1")
            output = response.outputs.add()
            output.message.content, output.message.role = "hi", chat_pb2.ROLE_ASSISTANT
            return response

        def GetCompletionChunk(self, request: Any, context: Any) -> Iterator[Any]:  # noqa: N802
            self._look(context)
            for word in ("a", "b", "c"):
                response = chat_pb2.GetChatCompletionChunk(id="1")
                output = response.outputs.add()
                output.delta.content, output.delta.role = word, chat_pb2.ROLE_ASSISTANT
                yield response

    server, address = serving(chat_pb2_grpc.add_ChatServicer_to_server, Chat())
    options: dict[str, Any] = {"api_key": "k", "api_host": address, "use_insecure_channel": True, "timeout": 20}
    with library.Client(**options) as client:
        chat = client.chat.create(model="m")
        chat.append(user("x"))
        assert chat.sample().content == "hi"
        assert [chunk.content for _, chunk in chat.stream()] == ["a", "b", "c"]

    async def main() -> None:
        async with library.AsyncClient(**options) as client:
            chat = client.chat.create(model="m")
            chat.append(user("x"))
            assert (await chat.sample()).content == "hi"
            assert [chunk.content async for _, chunk in chat.stream()] == ["a", "b", "c"]

    asyncio.run(main())
    assert seen == [("Bearer k", True)] * 5, seen
    server.stop(0)


@check
def cerbos() -> None:
    """TLS with credentials of channel and call, a service config with retries, a timeout and waiting; both kinds."""
    from cerbos.effect.v1 import effect_pb2
    from cerbos.engine.v1 import engine_pb2
    from cerbos.response.v1 import response_pb2
    from cerbos.sdk.grpc.client import AsyncCerbosClient, CerbosClient
    from cerbos.svc.v1 import svc_pb2_grpc

    seen: list[Any] = []

    class Policies(svc_pb2_grpc.CerbosServiceServicer):  # type: ignore[misc]
        def CheckResources(self, request: Any, context: Any) -> Any:  # noqa: N802
            seen.append(dict(context.invocation_metadata()).get("playground-instance"))
            if len(seen) % 2:
                context.abort(grpc.StatusCode.UNAVAILABLE, "not yet")
            response = response_pb2.CheckResourcesResponse(request_id=request.request_id)
            for entry in request.resources:
                result = response.results.add()
                result.resource.id = entry.resource.id
                for action in entry.actions:
                    result.actions[action] = effect_pb2.EFFECT_ALLOW
            return response

    key, certificate = self_signed()
    principal = engine_pb2.Principal(id="p", roles={"u"})
    resource = engine_pb2.Resource(id="r", kind="k")
    credentials = grpc.ssl_server_credentials([(key, certificate)])
    server, address = serving(svc_pb2_grpc.add_CerbosServiceServicer_to_server, Policies(), credentials)
    address = address.replace("127.0.0.1", "localhost")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "roots")
        path.write_bytes(certificate)
        options: dict[str, Any] = {"tls_verify": str(path), "playground_instance": "x", "timeout_secs": 10}
        with CerbosClient(address, **options, request_retries=3, wait_for_ready=True) as client:
            assert client.is_allowed("view", principal, resource)

        async def main() -> None:
            async with AsyncCerbosClient(address, **options, request_retries=3) as client:
                assert await client.is_allowed("view", principal, resource)

        asyncio.run(main())
    assert seen == ["x"] * 4, seen
    server.stop(0)


@check
def riva() -> None:
    """Speech: a stream both ways behind interceptors that add metadata, and a future."""
    import riva.client as library
    from riva.client.proto import riva_asr_pb2, riva_asr_pb2_grpc

    seen: list[Any] = []

    class Speech(riva_asr_pb2_grpc.RivaSpeechRecognitionServicer):  # type: ignore[misc]
        def StreamingRecognize(self, requests: Any, context: Any) -> Iterator[Any]:  # noqa: N802
            seen.append(dict(context.invocation_metadata()).get("x"))
            assert next(requests).HasField("streaming_config")
            for request in requests:
                response = riva_asr_pb2.StreamingRecognizeResponse()
                result = response.results.add(is_final=True)
                result.alternatives.add(transcript=str(len(request.audio_content)))
                yield response

        def Recognize(self, request: Any, context: Any) -> Any:  # noqa: N802
            response = riva_asr_pb2.RecognizeResponse()
            response.results.add().alternatives.add(transcript="whole")
            return response

    server, address = serving(riva_asr_pb2_grpc.add_RivaSpeechRecognitionServicer_to_server, Speech())
    service = library.ASRService(library.Auth(uri=address, metadata_args=[["x", "y"]]))
    config = library.StreamingRecognitionConfig(config=library.RecognitionConfig(language_code="en-US"))
    responses = service.streaming_response_generator([b"abc", b"abcde"], config)
    assert [each.results[0].alternatives[0].transcript for each in responses] == ["3", "5"]
    future = service.offline_recognize(b"x", library.RecognitionConfig(), future=True)
    assert future.result().results[0].alternatives[0].transcript == "whole"
    assert seen == ["y"], seen
    server.stop(0)


@check
def kurrentdb() -> None:
    """An event store: streams of requests and of responses, subscriptions whose requests come as they are
    acknowledged, errors in trailing metadata; blocking and on asyncio."""
    from kurrentdbclient import AsyncKurrentDBClient, KurrentDBClient, NewEvent, StreamState
    from kurrentdbclient.exceptions import FailedPreconditionError, NotFoundError
    from kurrentdbclient.protos.v1 import (
        gossip_pb2,
        gossip_pb2_grpc,
        persistent_pb2,
        persistent_pb2_grpc,
        streams_pb2,
        streams_pb2_grpc,
    )

    events: list[Any] = []
    acknowledged = threading.Semaphore(0)

    def fill(response: Any, number: int) -> Any:
        event = response.event.event
        event.id.string = str(uuid.uuid4())
        event.stream_identifier.stream_name = b"st"
        event.stream_revision = number
        event.metadata.update({"type": "T", "content-type": "application/json", "created": "1"})
        event.data = events[number].data
        response.event.commit_position = number
        return response

    class Streams(streams_pb2_grpc.StreamsServicer):  # type: ignore[misc]
        def _appended(self, response: Any) -> Any:
            response.success.current_revision = len(events) - 1
            response.success.position.commit_position = response.success.position.prepare_position = 1
            return response

        def Append(self, requests: Any, context: Any) -> Any:  # noqa: N802
            next(requests)
            events.extend(request.proposed_message for request in requests)
            return self._appended(streams_pb2.AppendResp())

        def BatchAppend(self, requests: Any, context: Any) -> Iterator[Any]:  # noqa: N802
            for request in requests:
                events.extend(request.proposed_messages)
                identifier = request.options.stream_identifier
                response = streams_pb2.BatchAppendResp(
                    correlation_id=request.correlation_id, stream_identifier=identifier
                )
                yield self._appended(response)

        def Read(self, request: Any, context: Any) -> Iterator[Any]:  # noqa: N802
            if request.options.stream.stream_identifier.stream_name == b"none":
                response = streams_pb2.ReadResp()
                response.stream_not_found.stream_identifier.stream_name = b"none"
                yield response
                return
            goes_on = request.options.WhichOneof("count_option") == "subscription"
            if goes_on:
                response = streams_pb2.ReadResp()
                response.confirmation.subscription_id = "s"
                yield response
            for number in range(len(events)):
                yield fill(streams_pb2.ReadResp(), number)
            if goes_on:
                over = threading.Event()
                context.add_callback(over.set)
                over.wait(20)

        def Delete(self, request: Any, context: Any) -> Any:  # noqa: N802
            context.abort(grpc.StatusCode.FAILED_PRECONDITION, "wrong version")

    class Subscriptions(persistent_pb2_grpc.PersistentSubscriptionsServicer):  # type: ignore[misc]
        def Read(self, requests: Any, context: Any) -> Iterator[Any]:  # noqa: N802
            next(requests)
            response = persistent_pb2.ReadResp()
            response.subscription_confirmation.subscription_id = "st::group"
            yield response
            for number in range(len(events)):
                yield fill(persistent_pb2.ReadResp(), number)
            for request in requests:
                for _ in request.ack.ids:
                    acknowledged.release()

    class Gossip(gossip_pb2_grpc.GossipServicer):  # type: ignore[misc]
        def Read(self, request: Any, context: Any) -> Any:  # noqa: N802
            response = gossip_pb2.ClusterInfo()
            member = response.members.add(state=gossip_pb2.MemberInfo.Leader, is_alive=True)
            member.http_end_point.address, member.http_end_point.port = "127.0.0.1", port
            return response

    server, port = started(
        (streams_pb2_grpc.add_StreamsServicer_to_server, Streams()),
        (persistent_pb2_grpc.add_PersistentSubscriptionsServicer_to_server, Subscriptions()),
        (gossip_pb2_grpc.add_GossipServicer_to_server, Gossip()),
    )
    uri = f"kdb://127.0.0.1:{port}?Tls=false&keepAliveInterval=10000"
    new: Any = [NewEvent(type="T", data=b"{}"), NewEvent(type="T", data=b"{1}")]
    with KurrentDBClient(uri) as client:
        client.append_to_stream("st", current_version=StreamState.ANY, events=new)
        assert [event.data for event in client.get_stream("st")] == [b"{}", b"{1}"]
        for kind, function in (
            (NotFoundError, lambda: client.get_stream("none")),
            (FailedPreconditionError, lambda: client.delete_stream("st", current_version=5)),
        ):
            try:
                function()
            except kind:
                pass
            else:
                raise AssertionError(f"{kind} was not raised")
        with client.subscribe_to_stream("st") as subscription:
            assert [next(subscription).data, next(subscription).data] == [b"{}", b"{1}"]
        with client.read_subscription_to_stream("group", "st") as subscription:
            for _ in range(2):
                subscription.ack(next(subscription))
    assert all(acknowledged.acquire(timeout=10) for _ in range(2))

    async def main() -> None:
        async with AsyncKurrentDBClient(uri) as client:
            await client.append_to_stream("st", current_version=StreamState.ANY, events=new[:1])
            assert [event.data for event in await client.get_stream("st")] == [b"{}", b"{1}", b"{}"]
            try:
                await client.get_stream("none")
            except NotFoundError:
                pass
            else:
                raise AssertionError("the stream was found")
            async with await client.subscribe_to_stream("st") as following:
                assert (await anext(following)).data == b"{}"
            async with await client.read_subscription_to_stream("group", "st") as persistent:
                await persistent.ack(await anext(persistent))
                assert await asyncio.to_thread(acknowledged.acquire, timeout=10)

    asyncio.run(main())
    server.stop(0)


@check
def sonora() -> None:
    """gRPC-Web: a server that inherits from grpc.Server and has contexts of its own, and clients of both kinds."""
    from wsgiref.simple_server import WSGIRequestHandler, make_server

    import sonora.aio
    import sonora.client
    from google.protobuf.wrappers_pb2 import StringValue
    from sonora.wsgi import grpcWSGI

    class Quiet(WSGIRequestHandler):
        def log_message(self, *arguments: Any) -> None:
            pass

    def upper(request: Any, context: Any) -> Any:
        if request.value == "no":
            context.abort(grpc.StatusCode.ABORTED, "refused")
        return StringValue(value=request.value.upper())

    def letters(request: Any, context: Any) -> Iterator[Any]:
        for letter in request.value:
            yield StringValue(value=letter)

    coders = StringValue.FromString, StringValue.SerializeToString
    handlers = {
        "Upper": grpc.unary_unary_rpc_method_handler(upper, *coders),
        "Letters": grpc.unary_stream_rpc_method_handler(letters, *coders),
    }
    application = grpcWSGI()
    application.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("a.B", handlers),))
    httpd = make_server("127.0.0.1", 0, application, handler_class=Quiet)
    threading.Thread(target=httpd.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{httpd.server_port}"
    with sonora.client.insecure_web_channel(url) as channel:
        call = channel.unary_unary("/a.B/Upper", *reversed(coders))
        assert call(StringValue(value="x")).value == "X"
        try:
            call(StringValue(value="no"))
        except grpc.RpcError as error:
            assert (error.code(), error.details()) == (grpc.StatusCode.ABORTED, "refused")  # type: ignore[attr-defined]
        else:
            raise AssertionError("it did not fail")
        many = channel.unary_stream("/a.B/Letters", *reversed(coders))
        assert [each.value for each in many(StringValue(value="abc"))] == ["a", "b", "c"]

    async def main() -> None:
        async with sonora.aio.insecure_web_channel(url) as channel:
            call = channel.unary_unary("/a.B/Upper", *reversed(coders))
            assert (await call(StringValue(value="y"))).value == "Y"
            many: AsyncIterator[Any] = channel.unary_stream("/a.B/Letters", *reversed(coders))(StringValue(value="ab"))
            assert [each.value async for each in many] == ["a", "b"]

    asyncio.run(main())
    httpd.shutdown()


def pinecone() -> None:
    """Futures that follow a call's, several at once, over TLS with retries by a service config."""
    from pinecone import Config
    from pinecone.core.grpc.protos import db_data_2025_04_pb2, db_data_2025_04_pb2_grpc
    from pinecone.exceptions import PineconeException
    from pinecone.grpc.index_grpc import GRPCIndex

    kept: dict[str, list[float]] = {}
    keys: list[Any] = []

    class Vectors(db_data_2025_04_pb2_grpc.VectorServiceServicer):  # type: ignore[misc]
        def Upsert(self, request: Any, context: Any) -> Any:  # noqa: N802
            keys.append(dict(context.invocation_metadata()).get("api-key"))
            if len(keys) == 1:
                context.abort(grpc.StatusCode.UNAVAILABLE, "not yet")
            kept.update({vector.id: list(vector.values) for vector in request.vectors})
            return db_data_2025_04_pb2.UpsertResponse(upserted_count=len(request.vectors))

        def Fetch(self, request: Any, context: Any) -> Any:  # noqa: N802
            response = db_data_2025_04_pb2.FetchResponse()
            for each in request.ids:
                response.vectors[each].id = each
                response.vectors[each].values.extend(kept[each])
            return response

        def Delete(self, request: Any, context: Any) -> Any:  # noqa: N802
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, "bad")

    key, certificate = self_signed()
    credentials = grpc.ssl_server_credentials([(key, certificate)])
    server, address = serving(db_data_2025_04_pb2_grpc.add_VectorServiceServicer_to_server, Vectors(), credentials)
    address = address.replace("127.0.0.1", "localhost")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "roots")
        path.write_bytes(certificate)
        config = Config(api_key="k", host=f"https://{address}", ssl_ca_certs=str(path))
        index = GRPCIndex(index_name="i", config=config, _endpoint_override=address)
        assert index.upsert([("a", [1.0, 2.0])]).upserted_count == 1
        several = [index.upsert([(str(number), [1.0, 2.0])], async_req=True) for number in range(5)]
        assert sum(each.result().upserted_count for each in futures.as_completed(several, timeout=10)) == 5
        assert index.fetch(["a"]).vectors["a"].values == [1.0, 2.0]
        try:
            index.delete(ids=["a"])
        except PineconeException:
            pass
        else:
            raise AssertionError("it did not fail")
        assert isinstance(index.delete(ids=["a"], async_req=True).exception(timeout=10), PineconeException)
        index.close()
    assert set(keys) == {"k"}, keys
    server.stop(0)


if __name__ == "__main__":
    if "pinecone" in sys.argv:
        check(pinecone)
    sys.exit(check.run())
