"""Still further libraries that were written for grpcio, unmodified: advertising, workflows, traces.

As `more_dependants`, in an environment of its own (see `prepare`).
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from concurrent import futures
from pathlib import Path
from typing import Any

import grpc
from checking import Checks, free_port, self_signed, serving, serving_generic

check = Checks()


@check
def google_ads() -> None:
    """Over TLS, with a token of a plugin: pages, a stream, and failures that interceptors read in the trailers."""
    from google.ads.googleads.client import GoogleAdsClient
    from google.ads.googleads.errors import GoogleAdsException
    from google.ads.googleads.v24.errors.types.errors import GoogleAdsError, GoogleAdsFailure
    from google.ads.googleads.v24.resources.types.campaign import Campaign
    from google.ads.googleads.v24.services.types.google_ads_service import (
        GoogleAdsRow,
        SearchGoogleAdsRequest,
        SearchGoogleAdsResponse,
        SearchGoogleAdsStreamRequest,
        SearchGoogleAdsStreamResponse,
    )
    from google.auth.credentials import Credentials

    class Token(Credentials):  # type: ignore[misc]
        def refresh(self, request: Any) -> None:
            self.token = "a token"

        @property
        def valid(self) -> bool:
            return self.token is not None

    seen: list[dict[str, Any]] = []

    def row(number: int) -> Any:
        return GoogleAdsRow(campaign=Campaign(id=number))

    def fail(context: Any) -> None:
        failure = GoogleAdsFailure(errors=[GoogleAdsError(message="no such field")])
        name = "google.ads.googleads.v24.errors.googleadsfailure-bin"
        context.set_trailing_metadata(((name, GoogleAdsFailure.serialize(failure)), ("request-id", "7")))
        context.abort(grpc.StatusCode.INVALID_ARGUMENT, "wrong")

    def search(request: Any, context: Any) -> Any:
        seen.append(dict(context.invocation_metadata()))
        if request.query == "wrong":
            fail(context)
        if not request.page_token:
            return SearchGoogleAdsResponse(results=[row(1), row(2)], next_page_token="more")
        return SearchGoogleAdsResponse(results=[row(3)])

    def search_stream(request: Any, context: Any) -> Iterator[Any]:
        context.send_initial_metadata((("request-id", "8"),))
        yield SearchGoogleAdsStreamResponse(results=[row(1)])
        yield SearchGoogleAdsStreamResponse(results=[row(2), row(3)])
        if request.query == "wrong":
            fail(context)

    methods = {
        "Search": (search, SearchGoogleAdsRequest),
        "SearchStream": (search_stream, SearchGoogleAdsStreamRequest, "unary_stream"),
    }
    key, certificate = self_signed()
    credentials = grpc.ssl_server_credentials([(key, certificate)])
    server, address = serving_generic("google.ads.googleads.v24.services.GoogleAdsService", methods, credentials)
    with tempfile.TemporaryDirectory() as folder:
        roots = Path(folder, "roots.pem")
        roots.write_bytes(certificate)
        os.environ["GRPC_DEFAULT_SSL_ROOTS_FILE_PATH"] = str(roots)
        try:
            client = GoogleAdsClient(
                Token(), "developer", endpoint=address.replace("127.0.0.1", "localhost"), version="v24"
            )
            service = client.get_service("GoogleAdsService")
            rows = service.search(customer_id="1", query="right")
            assert [each.campaign.id for each in rows] == [1, 2, 3]
            assert seen[0]["authorization"] == "Bearer a token", seen[0]
            assert seen[0]["developer-token"] == "developer"
            assert "gl-python/" in seen[0]["x-goog-api-client"]
            batches = service.search_stream(customer_id="1", query="right")
            assert [each.campaign.id for batch in batches for each in batch.results] == [1, 2, 3]
            for method in (service.search, lambda **given: list(service.search_stream(**given))):
                try:
                    method(customer_id="1", query="wrong")
                except GoogleAdsException as error:
                    assert error.failure.errors[0].message == "no such field", error
                    assert error.error.code() is grpc.StatusCode.INVALID_ARGUMENT
                else:
                    raise AssertionError("the query is wrong")

            async def main() -> None:
                service = client.get_service("GoogleAdsService", is_async=True)
                rows = await service.search(customer_id="1", query="right")
                assert [each.campaign.id async for each in rows] == [1, 2, 3]
                batches = await service.search_stream(customer_id="1", query="right")
                assert [each.campaign.id async for batch in batches for each in batch.results] == [1, 2, 3]
                try:
                    await service.search(customer_id="1", query="wrong")
                except GoogleAdsException as error:
                    assert error.failure.errors[0].message == "no such field", error
                else:
                    raise AssertionError("the query is wrong")

            asyncio.run(main())
        finally:
            del os.environ["GRPC_DEFAULT_SSL_ROOTS_FILE_PATH"]
    server.stop(None)


@check
def hatchet() -> None:
    """Events that are pushed, blocking and on asyncio, compressed; a worker that listens, loses its stream and comes
    again, and sends heartbeats."""
    from hatchet_sdk.clients.dispatcher.dispatcher import DispatcherClient
    from hatchet_sdk.clients.events import EventClient
    from hatchet_sdk.config import ClientConfig, ClientTLSConfig
    from hatchet_sdk.contracts import dispatcher_pb2, dispatcher_pb2_grpc, events_pb2, events_pb2_grpc

    token = "e30.{}.".format(
        base64.urlsafe_b64encode(
            json.dumps({"sub": "tenant", "server_url": "http://none", "grpc_broadcast_address": "none:1"}).encode()
        ).decode()
    )
    token = "eyJhbGciOiJub25lIn0" + token[3:]
    pushed: list[str] = []

    class Events(events_pb2_grpc.EventsServiceServicer):  # type: ignore[misc]
        async def Push(self, request: Any, context: Any) -> Any:  # noqa: N802
            assert dict(context.invocation_metadata())["authorization"] == f"bearer {token}"
            pushed.append(request.key)
            return events_pb2.Event(key=request.key, event_id="1")

    class Dispatcher(dispatcher_pb2_grpc.DispatcherServicer):  # type: ignore[misc]
        listened = beaten = 0

        async def Register(self, request: Any, context: Any) -> Any:  # noqa: N802
            return dispatcher_pb2.WorkerRegisterResponse(worker_id="w")

        async def ListenV2(self, request: Any, context: Any) -> AsyncIterator[Any]:  # noqa: N802
            self.listened += 1
            for number in range(2):
                yield dispatcher_pb2.AssignedAction(task_name=f"{self.listened}.{number}")
            if self.listened > 1:
                await asyncio.Event().wait()

        async def Heartbeat(self, request: Any, context: Any) -> Any:  # noqa: N802
            self.beaten += 1
            return dispatcher_pb2.HeartbeatResponse()

    dispatcher = Dispatcher()

    async def main() -> None:
        server = grpc.aio.server()
        events_pb2_grpc.add_EventsServiceServicer_to_server(Events(), server)
        dispatcher_pb2_grpc.add_DispatcherServicer_to_server(dispatcher, server)
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        config = ClientConfig(
            token=token, host_port=f"127.0.0.1:{port}", tls_config=ClientTLSConfig(strategy="none", server_name="x")
        )
        events = EventClient(config)
        assert (await events.aio_push("one", {"a": 1})).key == "one"
        assert (await asyncio.to_thread(events.push, "two", {"a": 2})).key == "two"
        assert pushed == ["one", "two"], pushed
        client = DispatcherClient(config)
        listener = await client.get_action_listener("w", ["s"], ["a"], {"default": 1}, [])
        await listener.start_heartbeater()
        actions = aiter(listener)
        names = [(await anext(actions)).step_name for _ in range(4)]
        assert names == ["1.0", "1.1", "2.0", "2.1"], names
        assert dispatcher.beaten, "no heartbeat came"
        listener.stop_signal = True
        listener.heartbeat_task.cancel()
        await server.stop(None)

    asyncio.run(asyncio.wait_for(main(), 60))


@check
def flytekit() -> None:
    """Its client, through interceptors that refresh a token, retry and keep a deadline; the server of its connectors,
    which has plain handlers of the health service that do not block."""
    from flyteidl.admin import agent_pb2, common_pb2, project_pb2
    from flyteidl.core import tasks_pb2
    from flyteidl.service import admin_pb2_grpc, agent_pb2_grpc, auth_pb2, auth_pb2_grpc
    from flytekit.clients.friendly import SynchronousFlyteClient
    from flytekit.clients.grpc_utils.deadline_interceptor import scoped_grpc_deadline
    from flytekit.clis.sdk_in_container.serve import _start_health_check_server
    from flytekit.configuration import AuthType, PlatformConfig
    from flytekit.exceptions.user import FlyteEntityNotExistException, FlyteTimeout
    from flytekit.extend.backend.connector_service import (
        AsyncConnectorService,
        ConnectorMetadataService,
        SyncConnectorService,
    )
    from grpc_health.v1 import health_pb2, health_pb2_grpc

    seen: list[dict[str, Any]] = []

    class Admin(admin_pb2_grpc.AdminServiceServicer):  # type: ignore[misc]
        def ListProjects(self, request: Any, context: Any) -> Any:  # noqa: N802
            seen.append(dict(context.invocation_metadata()))
            if seen[-1].get("flyte-authorization") != "Bearer secret":
                context.abort(grpc.StatusCode.UNAUTHENTICATED, "who is it?")
            return project_pb2.Projects(projects=[project_pb2.Project(id="p")])

        def GetTask(self, request: Any, context: Any) -> Any:  # noqa: N802
            context.abort(grpc.StatusCode.NOT_FOUND, "no such task")

        def ListTaskIds(self, request: Any, context: Any) -> Any:  # noqa: N802
            remaining = context.time_remaining()
            assert remaining is not None
            futures.wait([futures.Future()], timeout=remaining + 5)
            return common_pb2.NamedEntityIdentifierList()

    class Auth(auth_pb2_grpc.AuthMetadataServiceServicer):  # type: ignore[misc]
        def GetPublicClientConfig(self, request: Any, context: Any) -> Any:  # noqa: N802
            return auth_pb2.PublicClientAuthConfigResponse(authorization_metadata_key="flyte-authorization")

        def GetOAuth2Metadata(self, request: Any, context: Any) -> Any:  # noqa: N802
            return auth_pb2.OAuth2MetadataResponse(token_endpoint="http://none")

    def add(_: Any, server: grpc.Server) -> None:
        admin_pb2_grpc.add_AdminServiceServicer_to_server(Admin(), server)
        auth_pb2_grpc.add_AuthMetadataServiceServicer_to_server(Auth(), server)

    server, address = serving(add, None)
    command = [sys.executable, "-c", "print('secret')"]
    config = PlatformConfig(
        endpoint=address, insecure=True, auth_mode=AuthType.EXTERNALCOMMAND, command=command, rpc_retries=1
    )
    client = SynchronousFlyteClient(config)
    assert [each.id for each in client.list_projects_paginated()[0]] == ["p"]
    assert [each.get("flyte-authorization") for each in seen] == [None, "Bearer secret"], seen
    try:
        client.raw.get_task(common_pb2.ObjectGetRequest())
    except FlyteEntityNotExistException:
        pass
    else:
        raise AssertionError("there is no such task")
    try:
        with scoped_grpc_deadline(0.5):
            client.raw.list_task_ids_paginated(common_pb2.NamedEntityIdentifierListRequest())
    except FlyteTimeout as error:
        assert "deadline" in str(error), error
    else:
        raise AssertionError("it took no time")
    server.stop(None)

    async def main() -> None:
        server = grpc.aio.server(futures.ThreadPoolExecutor(4))
        agent_pb2_grpc.add_AsyncAgentServiceServicer_to_server(AsyncConnectorService(), server)
        agent_pb2_grpc.add_SyncAgentServiceServicer_to_server(SyncConnectorService(), server)
        agent_pb2_grpc.add_AgentMetadataServiceServicer_to_server(ConnectorMetadataService(), server)
        _start_health_check_server(server, 2)
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            agents = agent_pb2_grpc.AgentMetadataServiceStub(channel)
            assert (await agents.ListAgents(agent_pb2.ListAgentsRequest())).agents is not None
            request = agent_pb2.CreateTaskRequest(template=tasks_pb2.TaskTemplate(type="unknown"))
            try:
                await agent_pb2_grpc.AsyncAgentServiceStub(channel).CreateTask(request)
            except grpc.aio.AioRpcError as error:
                assert error.code() is grpc.StatusCode.NOT_FOUND, error
            else:
                raise AssertionError("there is no such connector")
            health = health_pb2_grpc.HealthStub(channel)
            asked = health_pb2.HealthCheckRequest(service="grpc.health.v1.Health")
            assert (await health.Check(asked)).status == health_pb2.HealthCheckResponse.SERVING
            async for answer in health.Watch(asked):
                assert answer.status == health_pb2.HealthCheckResponse.SERVING
                break
        await server.stop(None)

    asyncio.run(asyncio.wait_for(main(), 60))


@check
def opencensus() -> None:
    """Spans of both sides, for the four shapes."""
    from opencensus.ext.grpc.client_interceptor import OpenCensusClientInterceptor
    from opencensus.ext.grpc.server_interceptor import OpenCensusServerInterceptor
    from opencensus.trace import base_exporter, tracer
    from opencensus.trace.samplers import AlwaysOnSampler

    spans: list[Any] = []

    class Exporter(base_exporter.Exporter):  # type: ignore[misc]
        def emit(self, found: Any) -> None:
            spans.extend(found)

        def export(self, found: Any) -> None:
            self.emit(found)

    def message(octets: bytes) -> Any:
        from google.protobuf import wrappers_pb2

        return wrappers_pb2.BytesValue.FromString(octets)

    def one(request: Any, context: Any) -> Any:
        return request

    def many(request: Any, context: Any) -> Iterator[Any]:
        yield from [request] * 2

    def join(requests: Iterator[Any], context: Any) -> Any:
        return list(requests)[-1]

    def all_of(requests: Iterator[Any], context: Any) -> Iterator[Any]:
        yield from requests

    write = type(message(b"")).SerializeToString
    handlers = {
        "One": grpc.unary_unary_rpc_method_handler(one, message, write),
        "Many": grpc.unary_stream_rpc_method_handler(many, message, write),
        "Join": grpc.stream_unary_rpc_method_handler(join, message, write),
        "All": grpc.stream_stream_rpc_method_handler(all_of, message, write),
    }
    interceptors = [OpenCensusServerInterceptor(AlwaysOnSampler(), Exporter())]
    server = grpc.server(futures.ThreadPoolExecutor(4), interceptors=interceptors)
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("a.B", handlers),))
    port = free_port()
    server.add_insecure_port(f"127.0.0.1:{port}")
    server.start()
    request = message(b"\n\x01x")
    own = tracer.Tracer(sampler=AlwaysOnSampler(), exporter=Exporter())
    with grpc.insecure_channel(f"127.0.0.1:{port}") as plain:
        channel = grpc.intercept_channel(plain, OpenCensusClientInterceptor(own, f"127.0.0.1:{port}"))
        assert channel.unary_unary("/a.B/One", write, message)(request) == request
        assert list(channel.unary_stream("/a.B/Many", write, message)(request)) == [request] * 2
        assert channel.stream_unary("/a.B/Join", write, message)(iter([request])) == request
        assert list(channel.stream_stream("/a.B/All", write, message)(iter([request] * 3))) == [request] * 3
    server.stop(None).wait(20)
    names = {each.name for each in spans}
    for name in ("One", "Many", "Join", "All"):
        assert {f"Sent.a.B.{name}", f"Recv.a.B.{name}"} <= names, names


if __name__ == "__main__":
    sys.exit(check.run())
