"""More libraries that were written for grpcio, unmodified: their own servers are played here.

As `newest_dependants`; `lndgrpc`, whose generated code is old, needs protobuf's pure backend.
"""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Iterator
from concurrent import futures
from typing import Any

import grpc
from checking import Checks, self_signed, serving, until

check = Checks()


@check
def grpc_requests() -> None:
    """Methods of all shapes that are found by reflection, blocking and on asyncio; errors, metadata, interceptors."""
    from grpc_health.v1 import health_pb2, health_pb2_grpc
    from grpc_reflection.v1alpha import reflection
    from grpc_requests import AsyncClient, Client, get_by_endpoint

    class Health(health_pb2_grpc.HealthServicer):  # type: ignore[misc]
        def Check(self, request: Any, context: Any) -> Any:  # noqa: N802
            if request.service == "missing":
                context.abort(grpc.StatusCode.NOT_FOUND, "no such service")
            return health_pb2.HealthCheckResponse(status="SERVING")

        def Watch(self, request: Any, context: Any) -> Iterator[Any]:  # noqa: N802
            for status in ("SERVING", "NOT_SERVING"):
                yield health_pb2.HealthCheckResponse(status=status)

    server = grpc.server(futures.ThreadPoolExecutor(8))
    health_pb2_grpc.add_HealthServicer_to_server(Health(), server)
    reflection.enable_server_reflection(("grpc.health.v1.Health", reflection.SERVICE_NAME), server)
    address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    server.start()
    name = "grpc.health.v1.Health"
    client = Client.get_by_endpoint(address)
    assert name in client.service_names
    assert client.request(name, "Check", {"service": "a"}) == {"status": "SERVING"}
    assert [each["status"] for each in client.request(name, "Watch", {"service": "a"})] == ["SERVING", "NOT_SERVING"]
    assert client.service(name).Check({"service": ""}, timeout=5, metadata=(("k", "v"),)) == {"status": "SERVING"}
    try:
        client.unary_unary(name, "Check", {"service": "missing"})
    except grpc.RpcError as error:
        assert (error.code(), error.details()) == (grpc.StatusCode.NOT_FOUND, "no such service")
    else:
        raise AssertionError
    assert get_by_endpoint(address).request(name, "Check", {}) == {"status": "SERVING"}

    async def on_asyncio() -> None:
        client = AsyncClient(address)
        service = await client.service(name)
        assert await service.Check({"service": "a"}) == {"status": "SERVING"}
        found = [each["status"] async for each in await service.Watch({"service": "a"})]
        assert found == ["SERVING", "NOT_SERVING"]

    asyncio.run(on_asyncio())
    server.stop(0).wait()


@check
def pydgraph() -> None:
    """Transactions, futures, conflicts and logins that have expired, blocking and on asyncio."""
    import pydgraph
    from pydgraph.proto import api_pb2, api_pb2_grpc

    seen: list[Any] = []

    class Dgraph(api_pb2_grpc.DgraphServicer):  # type: ignore[misc]
        is_expired = False

        def Login(self, request: Any, context: Any) -> Any:  # noqa: N802
            seen.append(("login", request.userid, bool(request.refresh_token)))
            token = api_pb2.Jwt(access_jwt="access", refresh_jwt="refresh")
            return api_pb2.Response(json=token.SerializeToString())

        def Query(self, request: Any, context: Any) -> Any:  # noqa: N802
            metadata = dict(context.invocation_metadata())
            seen.append(("query", request.query, metadata.get("accessjwt")))
            if self.is_expired:
                self.is_expired = False
                context.abort(grpc.StatusCode.UNAUTHENTICATED, "Token is expired")
            response = api_pb2.Response(json=b'{"all": []}', txn=api_pb2.TxnContext(start_ts=7))
            for mutation in request.mutations:
                response.uids["new"] = "0x1"
                response.txn.keys.append(mutation.set_json.decode())
            return response

        def Alter(self, request: Any, context: Any) -> Any:  # noqa: N802
            if not request.schema:
                context.abort(grpc.StatusCode.UNKNOWN, "no schema")
            return api_pb2.Payload(Data=b"Done")

        def CommitOrAbort(self, request: Any, context: Any) -> Any:  # noqa: N802
            if request.aborted:
                return request
            return context.abort(grpc.StatusCode.ABORTED, "Transaction has been aborted. Please retry")

        def CheckVersion(self, request: Any, context: Any) -> Any:  # noqa: N802
            return api_pb2.Version(tag="v25")

    servicer = Dgraph()
    server, address = serving(api_pb2_grpc.add_DgraphServicer_to_server, servicer)
    stub = pydgraph.DgraphClientStub(address, options=[("grpc.max_receive_message_length", 1 << 20)])
    client = pydgraph.DgraphClient(stub)
    assert "v25" in client.check_version(timeout=5)
    client.alter(pydgraph.Operation(schema="name: string ."))
    assert pydgraph.DgraphClient.handle_alter_future(client.async_alter(pydgraph.Operation(schema="a: int ."))).Data
    client.login("groot", "password")
    servicer.is_expired = True
    with client.txn() as transaction:
        assert transaction.query("{all}").json == b'{"all": []}'
        future = transaction.async_query("{all}")
        assert pydgraph.Txn.handle_query_future(future).json == b'{"all": []}'
        assert dict(transaction.mutate(set_obj={"name": "Bert"}).uids) == {"new": "0x1"}
        try:
            transaction.commit()
        except pydgraph.AbortedError:
            pass
        else:
            raise AssertionError
    assert [each for each in seen if each[0] == "login"] == [("login", "groot", False), ("login", "", True)]

    async def on_asyncio() -> None:
        async with pydgraph.AsyncDgraphClient(pydgraph.AsyncDgraphClientStub(address)) as client:
            assert "v25" in await client.check_version(timeout=5)
            async with client.txn(read_only=True) as transaction:
                assert (await transaction.query("{all}")).json == b'{"all": []}'
            await client.alter(pydgraph.Operation(schema="b: int ."))

    asyncio.run(on_asyncio())
    stub.close()
    server.stop(0).wait()


@check
def bosdyn_client() -> None:
    """A robot's services: the directory, a login over TLS, futures and errors that it translates."""
    from bosdyn.api import header_pb2, robot_id_pb2, robot_id_service_pb2_grpc
    from bosdyn.client.channel import create_insecure_channel, create_secure_channel, create_secure_channel_creds
    from bosdyn.client.exceptions import UnableToConnectToRobotError
    from bosdyn.client.robot_id import RobotIdClient

    seen: list[Any] = []

    class RobotId(robot_id_service_pb2_grpc.RobotIdServiceServicer):  # type: ignore[misc]
        def GetRobotId(self, request: Any, context: Any) -> Any:  # noqa: N802
            seen.append((request.header.client_name, dict(context.invocation_metadata()).get("authorization")))
            if len(seen) == 3:
                context.abort(grpc.StatusCode.UNAVAILABLE, "asleep")
            response = robot_id_pb2.RobotIdResponse()
            response.header.error.code = header_pb2.CommonError.CODE_OK
            response.robot_id.serial_number = "spot-1"
            return response

    add = robot_id_service_pb2_grpc.add_RobotIdServiceServicer_to_server
    server, address = serving(add, RobotId())
    host, _, port = address.rpartition(":")
    client = RobotIdClient()
    client.client_name = "me"
    client.channel = create_insecure_channel(host, int(port), authority="id.spot.robot")
    assert client.get_id(timeout=5).serial_number == "spot-1"
    future = client.get_id_async(timeout=5)
    done = threading.Event()
    future.add_done_callback(lambda _: done.set())
    assert future.result().serial_number == "spot-1"
    assert done.wait(5)
    try:
        client.get_id(timeout=5)
    except UnableToConnectToRobotError:
        pass
    else:
        raise AssertionError
    server.stop(0).wait()
    key, certificate = self_signed("id.spot.robot")
    server, address = serving(add, RobotId(), grpc.ssl_server_credentials(((key, certificate),)))
    host, _, port = address.rpartition(":")
    credentials = create_secure_channel_creds(certificate, lambda: "token")
    client.channel = create_secure_channel(host, int(port), credentials, "id.spot.robot")
    assert client.get_id(timeout=5).serial_number == "spot-1"
    assert seen[-1][1] == "Bearer token"
    server.stop(0).wait()


@check
def lndgrpc() -> None:
    """TLS with a plugin for metadata, a stream; on asyncio by aiogrpc, which wraps the futures of blocking channels."""
    from lndgrpc import AsyncLNDClient, LNDClient, rpc_pb2, rpc_pb2_grpc

    seen: list[Any] = []

    class Lightning(rpc_pb2_grpc.LightningServicer):  # type: ignore[misc]
        def GetInfo(self, request: Any, context: Any) -> Any:  # noqa: N802
            seen.append(dict(context.invocation_metadata())["macaroon"])
            return rpc_pb2.GetInfoResponse(alias="node")

        def SubscribeInvoices(self, request: Any, context: Any) -> Iterator[Any]:  # noqa: N802
            for memo in ("a", "b"):
                yield rpc_pb2.Invoice(memo=memo)

    key, certificate = self_signed("localhost")
    add = rpc_pb2_grpc.add_LightningServicer_to_server
    server, address = serving(add, Lightning(), grpc.ssl_server_credentials(((key, certificate),)))
    port = address.rpartition(":")[2]
    arguments = {"cert": certificate, "macaroon": "0201"}
    client = LNDClient(f"localhost:{port}", **arguments)
    assert client.get_info().alias == "node"
    assert [invoice.memo for invoice in client.subscribe_invoices()] == ["a", "b"]

    async def on_asyncio() -> None:
        client = AsyncLNDClient(f"127.0.0.1:{port}", **arguments)
        assert (await client.get_info()).alias == "node"

    asyncio.run(on_asyncio())
    assert seen == ["0201", "0201"]
    server.stop(0).wait()


@check
def pulumi() -> None:
    """A program against its engine: a resource that is registered, a function that is invoked, logs, an error."""
    import pulumi
    from pulumi.runtime import settings
    from pulumi.runtime.proto import engine_pb2_grpc, provider_pb2, resource_pb2, resource_pb2_grpc
    from pulumi.runtime.stack import run_in_stack

    registered: list[Any] = []
    logged: list[str] = []

    class Monitor(resource_pb2_grpc.ResourceMonitorServicer):  # type: ignore[misc]
        def SupportsFeature(self, request: Any, context: Any) -> Any:  # noqa: N802
            return resource_pb2.SupportsFeatureResponse(hasSupport=request.id in ("secrets", "outputValues"))

        def RegisterResource(self, request: Any, context: Any) -> Any:  # noqa: N802
            registered.append((request.type, request.name))
            return resource_pb2.RegisterResourceResponse(urn=f"urn:{request.name}", id="1", object=request.object)

        def RegisterResourceOutputs(self, request: Any, context: Any) -> Any:  # noqa: N802
            from google.protobuf import empty_pb2

            return empty_pb2.Empty()

        def Invoke(self, request: Any, context: Any) -> Any:  # noqa: N802
            response = provider_pb2.InvokeResponse()
            response.__getattribute__("return")["answer"] = request.tok
            return response

    class Engine(engine_pb2_grpc.EngineServicer):  # type: ignore[misc]
        def Log(self, request: Any, context: Any) -> Any:  # noqa: N802
            from google.protobuf import empty_pb2

            logged.append(request.message)
            return empty_pb2.Empty()

    monitor, monitor_address = serving(resource_pb2_grpc.add_ResourceMonitorServicer_to_server, Monitor())
    engine, engine_address = serving(engine_pb2_grpc.add_EngineServicer_to_server, Engine())
    settings.configure(
        settings.Settings(project="p", stack="s", monitor=monitor_address, engine=engine_address, dry_run=False)
    )
    answers: list[Any] = []

    def program() -> None:
        made = pulumi.CustomResource("test:index:Thing", "thing", {"a": 1})
        made.id.apply(answers.append)
        answers.append(pulumi.runtime.invoke("test:index:ask", {}).value)
        pulumi.log.info("hello")

    asyncio.run(run_in_stack(lambda: program()))
    assert ("test:index:Thing", "thing") in registered
    assert "1" in answers
    assert {"answer": "test:index:ask"} in answers
    assert until(lambda: "hello" in logged)
    monitor.stop(0).wait()
    engine.stop(0).wait()


if __name__ == "__main__":
    sys.exit(check.run())
