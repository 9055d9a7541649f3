"""Further libraries that were written for grpcio, unmodified: workflows, databases, clouds.

As `more_dependants`, in an environment of its own (see `prepare`).
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent import futures
from pathlib import Path
from typing import Any

import grpc
from checking import Checks, free_port, self_signed, serving

check = Checks()


@check
def durabletask() -> None:
    """Its own server, worker and clients, blocking and on asyncio: orchestrations that end, fail and wait."""
    from durabletask import task
    from durabletask.client import AsyncTaskHubGrpcClient, OrchestrationStatus, TaskHubGrpcClient
    from durabletask.testing import create_test_backend
    from durabletask.worker import TaskHubGrpcWorker

    def double(_: task.ActivityContext, number: int) -> int:
        if number < 0:
            raise ValueError("less than nothing")
        return 2 * number

    def orchestrate(context: task.OrchestrationContext, number: int) -> Any:
        once = yield context.call_activity(double, input=number)
        given = yield context.wait_for_external_event("more")
        both = yield task.when_all([context.call_activity(double, input=each) for each in (once, given)])
        return sum(both)

    port = free_port()
    backend = create_test_backend(port=port)
    address = f"localhost:{port}"
    with TaskHubGrpcWorker(host_address=address) as worker:
        worker.add_activity(double)
        worker.add_orchestrator(orchestrate)
        worker.start()
        client = TaskHubGrpcClient(host_address=address)
        number = client.schedule_new_orchestration(orchestrate, input=1)
        client.wait_for_orchestration_start(number, timeout=20)
        client.raise_orchestration_event(number, "more", data=5)
        state = client.wait_for_orchestration_completion(number, timeout=20)
        assert state is not None
        assert state.runtime_status == OrchestrationStatus.COMPLETED, state
        assert json.loads(state.serialized_output or "") == 14, state
        number = client.schedule_new_orchestration(orchestrate, input=-1)
        state = client.wait_for_orchestration_completion(number, timeout=20)
        assert state is not None
        assert state.runtime_status == OrchestrationStatus.FAILED, state
        assert "less than nothing" in str(state.failure_details.message if state.failure_details else ""), state
        number = client.schedule_new_orchestration(orchestrate, input=1)
        try:
            client.wait_for_orchestration_completion(number, timeout=1)
        except TimeoutError:
            client.terminate_orchestration(number, output="enough")
        else:
            raise AssertionError("it ended without its event")

        async def main() -> None:
            client = AsyncTaskHubGrpcClient(host_address=address)
            number = await client.schedule_new_orchestration(orchestrate, input=2)
            await client.raise_orchestration_event(number, "more", data=0)
            state = await client.wait_for_orchestration_completion(number, timeout=20)
            assert state is not None
            assert json.loads(state.serialized_output or "") == 8, state
            await client.close()

        asyncio.run(main())
        client.close()
    backend.stop()


@check
def yandexcloud() -> None:
    """Endpoints over TLS, a token that a plugin gets by a call of its own, a retry policy as a service config."""
    import yandexcloud as library
    from yandex.cloud.endpoint import api_endpoint_pb2, api_endpoint_service_pb2, api_endpoint_service_pb2_grpc
    from yandex.cloud.iam.v1 import iam_token_service_pb2, iam_token_service_pb2_grpc
    from yandex.cloud.resourcemanager.v1 import cloud_pb2, cloud_service_pb2, cloud_service_pb2_grpc
    from yandexcloud import RetryPolicy

    names = ("endpoint", "iam", "resource-manager")

    class Endpoints(api_endpoint_service_pb2_grpc.ApiEndpointServiceServicer):  # type: ignore[misc]
        def List(self, request: Any, context: Any) -> Any:  # noqa: N802
            found = [api_endpoint_pb2.ApiEndpoint(id=name, address=address) for name in names]
            return api_endpoint_service_pb2.ListApiEndpointsResponse(endpoints=found)

    class Tokens(iam_token_service_pb2_grpc.IamTokenServiceServicer):  # type: ignore[misc]
        def Create(self, request: Any, context: Any) -> Any:  # noqa: N802
            assert request.yandex_passport_oauth_token == "oauth"
            response = iam_token_service_pb2.CreateIamTokenResponse(iam_token="from the plugin")
            response.expires_at.FromSeconds(int(time.time()) + 3600)
            return response

    class Clouds(cloud_service_pb2_grpc.CloudServiceServicer):  # type: ignore[misc]
        failures = 2
        seen: list[Any] = []  # noqa: RUF012

        def List(self, request: Any, context: Any) -> Any:  # noqa: N802
            self.seen.append(dict(context.invocation_metadata()))
            if self.failures:
                self.failures -= 1
                context.abort(grpc.StatusCode.UNAVAILABLE, "not yet")
            return cloud_service_pb2.ListCloudsResponse(clouds=[cloud_pb2.Cloud(id="a")])

    key, certificate = self_signed()
    server = grpc.server(futures.ThreadPoolExecutor(4))
    api_endpoint_service_pb2_grpc.add_ApiEndpointServiceServicer_to_server(Endpoints(), server)
    iam_token_service_pb2_grpc.add_IamTokenServiceServicer_to_server(Tokens(), server)
    cloud_service_pb2_grpc.add_CloudServiceServicer_to_server(Clouds(), server)
    credentials = grpc.ssl_server_credentials([(key, certificate)])
    address = f"localhost:{server.add_secure_port('127.0.0.1:0', credentials)}"
    server.start()
    sdk = library.SDK(
        token="oauth",
        endpoint=address,
        root_certificates=certificate,
        user_agent="checking/1",
        retry_policy=RetryPolicy(max_attempts=4),
    )
    clouds = sdk.client(cloud_service_pb2_grpc.CloudServiceStub)
    assert [each.id for each in clouds.List(cloud_service_pb2.ListCloudsRequest()).clouds] == ["a"]
    assert len(Clouds.seen) == 3, Clouds.seen
    assert Clouds.seen[0]["authorization"] == "Bearer from the plugin"
    assert Clouds.seen[0]["user-agent"].startswith("checking/1 "), Clouds.seen[0]
    assert [each.get("grpc-previous-rpc-attempts") for each in Clouds.seen] == [None, "1", "2"]
    server.stop(None)


@check
def pyzeebe() -> None:
    """Its client starts a process, and its worker takes jobs from a stream and completes them, on asyncio."""
    from pyzeebe import ZeebeClient, ZeebeWorker, create_insecure_channel
    from pyzeebe.errors import ProcessDefinitionNotFoundError
    from pyzeebe.proto import gateway_pb2, gateway_pb2_grpc

    async def main() -> None:
        completed: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        given: list[Any] = []

        class Gateway(gateway_pb2_grpc.GatewayServicer):  # type: ignore[misc]
            async def CreateProcessInstance(self, request: Any, context: Any) -> Any:  # noqa: N802
                if request.bpmnProcessId == "none":
                    await context.abort(grpc.StatusCode.NOT_FOUND, "no such process")
                return gateway_pb2.CreateProcessInstanceResponse(processInstanceKey=7)

            async def ActivateJobs(self, request: Any, context: Any) -> Any:  # noqa: N802
                if not given:
                    given.append(request.type)
                    job = gateway_pb2.ActivatedJob(key=1, type=request.type, variables='{"a": 20}', customHeaders="{}")
                    yield gateway_pb2.ActivateJobsResponse(jobs=[job])
                else:
                    await asyncio.sleep(0.05)

            async def CompleteJob(self, request: Any, context: Any) -> Any:  # noqa: N802
                completed.set_result((request.jobKey, json.loads(request.variables)))
                return gateway_pb2.CompleteJobResponse()

        server = grpc.aio.server()
        gateway_pb2_grpc.add_GatewayServicer_to_server(Gateway(), server)
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        channel = create_insecure_channel(f"127.0.0.1:{port}")
        client = ZeebeClient(channel)
        assert (await client.run_process("known")).process_instance_key == 7
        try:
            await client.run_process("none")
        except ProcessDefinitionNotFoundError:
            pass
        else:
            raise AssertionError("there is no such process")
        worker = ZeebeWorker(channel)

        @worker.task(task_type="double")
        async def double(a: int) -> dict[str, int]:
            return {"a": 2 * a}

        working = asyncio.ensure_future(worker.work())
        assert await asyncio.wait_for(completed, 20) == (1, {"a": 40})
        await worker.stop()
        with contextlib.suppress(asyncio.CancelledError):
            working.cancel()
            await working
        await channel.close()
        await server.stop(None)

    asyncio.run(main())


@check
def immudb() -> None:
    """A login that puts its token into an interceptor, values, and a value that is streamed in chunks."""
    from immudb import ImmudbClient
    from immudb.grpc import schema_pb2, schema_pb2_grpc

    store: dict[bytes, bytes] = {}

    class Immu(schema_pb2_grpc.ImmuServiceServicer):  # type: ignore[misc]
        def _check(self, context: Any) -> None:
            if dict(context.invocation_metadata()).get("authorization") != "Bearer second":
                context.abort(grpc.StatusCode.UNAUTHENTICATED, "who is it?")

        def Login(self, request: Any, context: Any) -> Any:  # noqa: N802
            if request.password != b"right":
                context.abort(grpc.StatusCode.PERMISSION_DENIED, "wrong password")
            return schema_pb2.LoginResponse(token="first")

        def UseDatabase(self, request: Any, context: Any) -> Any:  # noqa: N802
            return schema_pb2.UseDatabaseReply(token="second")

        def CurrentState(self, request: Any, context: Any) -> Any:  # noqa: N802
            return schema_pb2.ImmutableState(db="defaultdb")

        def Set(self, request: Any, context: Any) -> Any:  # noqa: N802
            self._check(context)
            for each in request.KVs:
                store[each.key] = each.value
            return schema_pb2.TxHeader(id=len(store))

        def Get(self, request: Any, context: Any) -> Any:  # noqa: N802
            self._check(context)
            if request.key not in store:
                context.abort(grpc.StatusCode.UNKNOWN, "key not found")
            return schema_pb2.Entry(tx=1, key=request.key, value=store[request.key], revision=1)

        def streamGet(self, request: Any, context: Any) -> Iterator[Any]:  # noqa: N802
            self._check(context)
            value = store[request.key]
            yield schema_pb2.Chunk(content=len(request.key).to_bytes(8, "big") + request.key)
            yield schema_pb2.Chunk(content=len(value).to_bytes(8, "big") + value[:1000])
            for begin in range(1000, len(value), 1000):
                yield schema_pb2.Chunk(content=value[begin : begin + 1000])

        def streamSet(self, requests: Iterator[Any], context: Any) -> Any:  # noqa: N802
            self._check(context)
            octets = b"".join(request.content for request in requests)
            size = int.from_bytes(octets[:8], "big")
            key, rest = octets[8 : 8 + size], octets[8 + size :]
            store[key] = rest[8:]
            return schema_pb2.TxHeader(id=len(store))

    server, address = serving(schema_pb2_grpc.add_ImmuServiceServicer_to_server, Immu())
    client = ImmudbClient(address, timeout=20, max_grpc_message_length=1 << 20)
    try:
        client.login("immudb", "wrong")
    except grpc.RpcError as error:
        assert error.details() == "wrong password", error
    else:
        raise AssertionError("the password is wrong")
    client.login("immudb", "right")
    assert client.set(b"key", b"value").id == 1
    assert client.get(b"key").value == b"value"
    assert client.get(b"missing") is None
    from io import BytesIO

    client.streamSet(b"large", BytesIO(bytes(5000)), 5000)
    assert store[b"large"] == bytes(5000), len(store[b"large"])
    assert client.streamGetFull(b"large").value == bytes(5000)
    client.shutdown()
    server.stop(None)


@check
def spiffe() -> None:
    """Over a Unix socket, with an interceptor: the first answer of a stream, one that is watched until cancelled."""
    from spiffe import WorkloadApiClient
    from spiffe._proto import workload_pb2, workload_pb2_grpc
    from spiffe.errors import PySpiffeError

    keys = json.dumps({"keys": [{"kty": "EC", "kid": "1", "crv": "P-256", "x": X, "y": Y}]}).encode()
    ended = threading.Event()

    class Workload(workload_pb2_grpc.SpiffeWorkloadAPIServicer):  # type: ignore[misc]
        def FetchJWTBundles(self, request: Any, context: Any) -> Iterator[Any]:  # noqa: N802
            assert dict(context.invocation_metadata())["workload.spiffe.io"] == "true"
            context.add_callback(ended.set)
            yield workload_pb2.JWTBundlesResponse(bundles={"spiffe://example.org": keys})
            ended.wait(20)

        def FetchJWTSVID(self, request: Any, context: Any) -> Any:  # noqa: N802
            context.abort(grpc.StatusCode.PERMISSION_DENIED, "no identity issued")

    with tempfile.TemporaryDirectory() as folder:
        path = f"unix:{Path(folder, 'agent.sock')}"
        server = grpc.server(futures.ThreadPoolExecutor(4))
        workload_pb2_grpc.add_SpiffeWorkloadAPIServicer_to_server(Workload(), server)
        server.add_insecure_port(path)
        server.start()
        client = WorkloadApiClient(path, default_timeout=20)
        assert [str(each.trust_domain) for each in client.fetch_jwt_bundles().bundles] == ["example.org"]
        assert ended.wait(20)
        try:
            client.fetch_jwt_svid(audience={"a"})
        except PySpiffeError as error:
            assert "no identity issued" in str(error), error
        else:
            raise AssertionError("there is none")
        ended.clear()
        came, wrong = threading.Event(), []
        watch = client.stream_jwt_bundles(lambda _: came.set(), wrong.append)
        assert came.wait(20), wrong
        watch.cancel()
        assert ended.wait(20)
        assert not wrong, wrong
        client.close()
        server.stop(None)


X = "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU"
Y = "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"
"""A point on the curve: the example of RFC 7517, appendix A.1."""


@check
def clarifai() -> None:
    """Its stubs take grpc's own multi-callables as theirs, retry, and look into streams; blocking and on asyncio."""
    from clarifai.client.auth import create_stub
    from clarifai.client.auth.helper import ClarifaiAuthHelper
    from clarifai_grpc.grpc.api import service_pb2, service_pb2_grpc
    from clarifai_grpc.grpc.api.status import status_code_pb2, status_pb2

    good = status_pb2.Status(code=status_code_pb2.SUCCESS)

    class V2(service_pb2_grpc.V2Servicer):  # type: ignore[misc]
        throttled = 1

        def GetModel(self, request: Any, context: Any) -> Any:  # noqa: N802
            assert dict(context.invocation_metadata())["authorization"] == "Key secret"
            if self.throttled:
                self.throttled -= 1
                return service_pb2.SingleModelResponse(status=status_pb2.Status(code=status_code_pb2.CONN_THROTTLED))
            return service_pb2.SingleModelResponse(status=good)

        def GenerateModelOutputs(self, request: Any, context: Any) -> Iterator[Any]:  # noqa: N802
            for _ in range(3):
                yield service_pb2.MultiOutputResponse(status=good)

    server, address = serving(service_pb2_grpc.add_V2Servicer_to_server, V2())
    helper = ClarifaiAuthHelper("me", "app", pat="secret", base=f"http://{address}", validate=False)
    stub = create_stub(helper, max_retry_attempts=3)
    stub.backoff_time = 0.1
    assert stub.GetModel(service_pb2.GetModelRequest()).status == good
    assert stub.GetModel.future(service_pb2.GetModelRequest()).result(20).status == good
    found = stub.GenerateModelOutputs(service_pb2.PostModelOutputsRequest())
    assert len(list(found)) == 3

    async def main() -> None:
        stub = create_stub(helper, max_retry_attempts=3, is_async=True)
        assert (await stub.GetModel(service_pb2.GetModelRequest())).status == good

    asyncio.run(main())
    server.stop(None)


@check
def weaviate() -> None:
    """Its client, which asks for the health of the server, and searches, blocking and on asyncio."""
    import http.server

    import weaviate as library
    from grpc_health.v1 import health, health_pb2, health_pb2_grpc
    from weaviate.proto.v1 import search_get_pb2, weaviate_pb2_grpc

    class Meta(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = b'{"version": "1.30.0", "grpcMaxMessageSize": 104858000}' if "meta" in self.path else b""
            self.send_response(200 if body else 404)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    class Weaviate(weaviate_pb2_grpc.WeaviateServicer):  # type: ignore[misc]
        def Search(self, request: Any, context: Any) -> Any:  # noqa: N802
            if request.collection == "Broken":
                context.abort(grpc.StatusCode.INVALID_ARGUMENT, "no such collection")
            reply = search_get_pb2.SearchReply()
            for _ in range(request.limit):
                reply.results.add().metadata.id = "00000000-0000-0000-0000-000000000001"
            return reply

    server, address = serving(weaviate_pb2_grpc.add_WeaviateServicer_to_server, Weaviate())
    healthy = health.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(healthy, server)
    healthy.set("", health_pb2.HealthCheckResponse.SERVING)
    web = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Meta)
    threading.Thread(target=web.serve_forever, daemon=True).start()
    options: dict[str, Any] = {"host": "127.0.0.1", "port": web.server_port, "grpc_port": int(address.split(":")[1])}
    with library.connect_to_local(**options) as client:
        assert len(client.collections.use("Thing").query.fetch_objects(limit=3).objects) == 3
        try:
            client.collections.use("Broken").query.fetch_objects(limit=1)
        except library.exceptions.WeaviateQueryError as error:
            assert "no such collection" in str(error), error
        else:
            raise AssertionError("it is broken")

    async def main() -> None:
        async with library.use_async_with_local(**options) as client:
            assert len((await client.collections.use("Thing").query.fetch_objects(limit=2)).objects) == 2

    asyncio.run(main())
    web.shutdown()
    server.stop(None)


if __name__ == "__main__":
    sys.exit(check.run())
