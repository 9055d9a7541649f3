"""Whole systems whose parts talk by gRPC, unmodified: each starts its own servers, workers and clients.

As `more_dependants`, in an environment of its own (see `prepare`).
"""

from __future__ import annotations

import os
import sys
import tempfile
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import grpc
from checking import Checks, free_port, self_signed

check = Checks()


@check
def apache_beam() -> None:
    """A pipeline whose runner and worker have control, data, state and logs on streams, which end from either side."""
    import apache_beam as beam
    from apache_beam.runners.portability.fn_api_runner import FnApiRunner
    from apache_beam.testing.util import assert_that, equal_to
    from apache_beam.transforms.environments import EmbeddedPythonGrpcEnvironment

    for _ in range(2):
        runner = FnApiRunner(default_environment=EmbeddedPythonGrpcEnvironment.default())
        with beam.Pipeline(runner=runner) as pipeline:
            words = pipeline | beam.Create(["a b a", "c"]) | beam.FlatMap(str.split)
            assert_that(words | beam.combiners.Count.PerElement(), equal_to([("a", 2), ("b", 1), ("c", 1)]))
    try:
        with beam.Pipeline(runner=FnApiRunner(default_environment=EmbeddedPythonGrpcEnvironment.default())) as pipeline:
            pipeline | beam.Create([1]) | beam.Map(lambda number: number // 0)
    except Exception as error:
        assert "ZeroDivisionError" in str(error), error
    else:
        raise AssertionError("it divided by zero")


@check
def ray() -> None:
    """Its client for clusters far away: tasks, actors, objects of megabytes and errors, over streams of its server."""
    os.environ["RAY_AUTH_MODE"] = "disabled"
    from ray import exceptions
    from ray.util.client.ray_client_helpers import ray_start_client_server

    limits = {"num_cpus": 2, "include_dashboard": False, "object_store_memory": 80_000_000}
    with ray_start_client_server(ray_init_kwargs=limits) as client:

        @client.remote
        def double(number: int) -> int:
            return 2 * number

        @client.remote
        def fail() -> None:
            raise ValueError("no")

        @client.remote
        class Sum:
            def __init__(self) -> None:
                self.total = 0

            def add(self, number: int) -> int:
                self.total += number
                return self.total

        assert client.get([double.remote(number) for number in range(4)]) == [0, 2, 4, 6]
        total = Sum.remote()
        assert client.get([total.add.remote(number) for number in range(5)]) == [0, 1, 3, 6, 10]
        assert client.get(client.put(bytes(5_000_000))) == bytes(5_000_000)
        ready, _ = client.wait([double.remote(1), double.remote(2)], num_returns=2, timeout=60)
        assert len(ready) == 2
        try:
            client.get(fail.remote())
        except exceptions.RayTaskError as error:
            assert "ValueError" in str(error), error
        else:
            raise AssertionError("it did not fail")


@check
def feast() -> None:
    """Its servers of a registry, over TLS, and of features; errors that interceptors carry in the details."""
    import pandas
    from feast import Entity, FeatureStore, FeatureView, Field, FileSource, RepoConfig
    from feast import registry_server as registry
    from feast.errors import EntityNotFoundException
    from feast.infra.contrib.grpc_server import GrpcFeatureServer, get_grpc_server
    from feast.infra.registry.remote import RemoteRegistryConfig
    from feast.protos.feast.serving import GrpcServer_pb2, GrpcServer_pb2_grpc, ServingService_pb2
    from feast.repo_config import RegistryConfig
    from feast.types import Float32

    with tempfile.TemporaryDirectory() as folder:
        (path := Path(folder, "rates.parquet")).touch()
        now = datetime.now(timezone.utc)
        pandas.DataFrame({"driver": [1, 2], "rate": [0.5, 0.75], "at": [now] * 2}).to_parquet(path)
        common: dict[str, Any] = {
            "project": "p",
            "provider": "local",
            "online_store": {"type": "sqlite", "path": str(Path(folder, "online.db"))},
            "entity_key_serialization_version": 3,
        }
        store = FeatureStore(
            config=RepoConfig(registry=RegistryConfig(path=str(Path(folder, "registry.db"))), **common)
        )
        driver = Entity(name="driver", join_keys=["driver"])
        source = FileSource(path=str(path), timestamp_field="at")
        schema = [Field(name="rate", dtype=Float32)]
        view = FeatureView(name="rates", entities=[driver], ttl=timedelta(days=1), schema=schema, source=source)
        store.apply([driver, view])

        key, certificate = self_signed()
        (key_path := Path(folder, "key.pem")).write_bytes(key)
        (certificate_path := Path(folder, "certificate.pem")).write_bytes(certificate)
        port = free_port()
        server = registry.start_server(
            store, port, wait_for_termination=False, tls_key_path=str(key_path), tls_cert_path=str(certificate_path)
        )
        config = RemoteRegistryConfig(registry_type="remote", path=f"localhost:{port}", cert=str(certificate_path))
        remote = FeatureStore(config=RepoConfig(registry=config, **common))
        assert [each.name for each in remote.list_entities()] == ["driver"]
        assert [each.name for each in remote.list_feature_views()] == ["rates"]
        try:
            remote.get_entity("none")
        except EntityNotFoundException:
            pass
        else:
            raise AssertionError("there is no such entity")

        port = free_port()
        GrpcFeatureServer._shuting_down = True  # or its timer keeps the process alive
        features = get_grpc_server(f"127.0.0.1:{port}", store, 2, 3600)
        features.start()
        store.materialize_incremental(datetime.now(timezone.utc))
        with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
            stub = GrpcServer_pb2_grpc.GrpcFeatureServerStub(channel)
            names = ServingService_pb2.FeatureList(val=["rates:rate"])
            request = ServingService_pb2.GetOnlineFeaturesRequest(features=names)
            request.entities["driver"].val.add(int64_val=2)
            answer = stub.GetOnlineFeatures(request)
            assert answer.results[1].values[0].float_val == 0.75, answer
            try:
                stub.Push(GrpcServer_pb2.PushRequest(features={"a": "b"}, stream_feature_view="none", to="online"))
            except grpc.RpcError as error:
                assert error.code() is grpc.StatusCode.INVALID_ARGUMENT, error
            else:
                raise AssertionError("there is no such source")
        features.stop(None)
        server.stop(None)


@check
def jina() -> None:
    """A flow of executors in processes of their own: streams of requests, replicas, errors, health; on asyncio too."""
    os.environ["JINA_LOG_LEVEL"] = "CRITICAL"
    import asyncio

    from docarray import BaseDoc, DocList
    from jina import Client, Executor, Flow, requests
    from jina.excepts import BadServer

    class Text(BaseDoc):  # type: ignore[misc]
        text: str = ""

    class Upper(Executor):  # type: ignore[misc]
        @requests
        def upper(self, docs: DocList[Text], **_: Any) -> DocList[Text]:
            for each in docs:
                each.text = each.text.upper()
            return docs

        @requests(on="/fail")
        def fail(self, docs: DocList[Text], **_: Any) -> DocList[Text]:
            raise ValueError("no")

    with Flow(protocol="grpc").add(uses=Upper).add(uses=Upper, replicas=2) as flow:
        texts = DocList[Text]([Text(text=f"t{number}") for number in range(50)])
        found = flow.post("/", texts, request_size=5, return_type=DocList[Text])
        assert sorted(each.text for each in found) == sorted(f"T{number}" for number in range(50)), found
        client = Client(port=flow.port, protocol="grpc")
        assert client.is_flow_ready()
        try:
            client.post("/fail", Text(text="a"), return_type=DocList[Text])
        except BadServer as error:
            assert "ValueError" in str(error), error
        else:
            raise AssertionError("it did not fail")

        async def main() -> None:
            client = Client(port=flow.port, protocol="grpc", asyncio=True)
            answers = client.post("/", DocList[Text]([Text(text="x")]), return_type=DocList[Text])
            assert [each.text async for docs in answers for each in docs] == ["X"]

        asyncio.run(main())


@check
def dagster() -> None:
    """Its server of code in a process of its own: what that has, plans, streams, heartbeats."""
    os.environ["DAGSTER_DISABLE_TELEMETRY"] = "1"
    from dagster import DagsterInstance
    from dagster._core.workspace.context import WorkspaceProcessContext
    from dagster._core.workspace.load_target import PythonFileTarget

    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "definitions.py")
        file.write_text(
            "from dagster import Definitions, asset, job, op\n"
            "@op\ndef one(): return 1\n"
            "@job\ndef good(): one()\n"
            "@asset\ndef thing(): return 5\n"
            "defs = Definitions(assets=[thing], jobs=[good])\n"
        )
        with DagsterInstance.local_temp(folder) as instance:
            target = PythonFileTarget(str(file), None, folder, "here")
            with WorkspaceProcessContext(instance, target, version="") as workspace:
                location = workspace.create_request_context().get_code_location("here")
                (repository,) = location.get_repositories().values()
                assert {"good"} <= {each.name for each in repository.get_all_jobs()}
                plan = location.get_execution_plan(
                    repository.get_full_job("good"), {}, step_keys_to_execute=None, known_state=None, instance=instance
                )
                assert plan.execution_plan_snapshot.step_keys_to_execute == ["one"]
                assert [each["echo"] for each in location.client.streaming_ping(5, "x")] == ["x"] * 5


@check
def flower() -> None:
    """Learning together: a server that has its clients on streams, and asks them for arrays of megabytes."""
    import threading

    import flwr
    import numpy
    from flwr.compat.client.app import start_client
    from flwr.compat.server.app import start_server

    class Client(flwr.client.NumPyClient):  # type: ignore[misc]
        def get_parameters(self, config: Any) -> Any:
            return [numpy.ones(300_000, dtype=numpy.float32)]

        def fit(self, parameters: Any, config: Any) -> Any:
            return [each + 1 for each in parameters], 10, {}

        def evaluate(self, parameters: Any, config: Any) -> Any:
            return float(parameters[0].mean()), 10, {}

    address = f"127.0.0.1:{free_port()}"

    def take_part() -> None:
        with grpc.insecure_channel(address) as channel:
            grpc.channel_ready_future(channel).result(30)
        start_client(server_address=address, client=Client().to_client(), insecure=True)

    clients = [threading.Thread(target=take_part, daemon=True) for _ in range(2)]
    for each in clients:
        each.start()
    strategy = flwr.server.strategy.FedAvg(min_fit_clients=2, min_evaluate_clients=2, min_available_clients=2)
    config = flwr.server.ServerConfig(num_rounds=3)
    history = start_server(server_address=address, config=config, strategy=strategy)
    assert history.losses_distributed == [(1, 2.0), (2, 3.0), (3, 4.0)], history
    for each in clients:
        each.join(30)
        assert not each.is_alive()


@check
def mlserver() -> None:
    """Its server on asyncio, with interceptors: models that answer, fail and stream."""
    import asyncio

    from mlserver import MLModel, MLServer, ModelSettings, Settings
    from mlserver.grpc import dataplane_pb2 as messages
    from mlserver.grpc.dataplane_pb2_grpc import GRPCInferenceServiceStub
    from mlserver.settings import ModelParameters
    from mlserver.types import InferenceResponse, ResponseOutput

    class Sum(MLModel):  # type: ignore[misc]
        async def load(self) -> bool:
            return True

        async def predict(self, payload: Any) -> Any:
            total = sum(payload.inputs[0].data)
            if total < 0:
                raise ValueError("less than nothing")
            output = ResponseOutput(name="total", shape=[1], datatype="FP64", data=[total])
            return InferenceResponse(model_name=self.name, outputs=[output])

        async def predict_stream(self, payloads: Any) -> Any:
            async for payload in payloads:
                yield await self.predict(payload)
                yield await self.predict(payload)

    Sum.__qualname__ = "Sum"  # by which it is imported
    globals()["Sum"] = Sum

    def request(*numbers: float) -> Any:
        contents = messages.InferTensorContents(fp64_contents=numbers)
        tensor = messages.ModelInferRequest.InferInputTensor(name="x", datatype="FP64", shape=[3], contents=contents)
        return messages.ModelInferRequest(model_name="sum", inputs=[tensor])

    def total(response: Any) -> float:
        return float(response.outputs[0].contents.fp64_contents[0])

    async def main() -> None:
        port = free_port()
        settings = Settings(
            host="127.0.0.1",
            http_port=free_port(),
            grpc_port=port,
            parallel_workers=0,
            debug=False,
            metrics_endpoint=None,
        )
        server = MLServer(settings)
        model = ModelSettings(name="sum", implementation=Sum, parameters=ModelParameters(version="v1"))
        serving = asyncio.ensure_future(server.start([model]))
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            stub = GRPCInferenceServiceStub(channel)
            asked = messages.ModelReadyRequest(name="sum")
            for _ in range(600):
                if (await stub.ModelReady(asked, wait_for_ready=True)).ready:
                    break
                await asyncio.sleep(0.05)
            assert total(await stub.ModelInfer(request(1, 2, 3))) == 6
            for wrong in (request(-1, 0, 0), messages.ModelInferRequest(model_name="none")):
                try:
                    await stub.ModelInfer(wrong)
                except grpc.aio.AioRpcError as error:
                    assert error.code() is not grpc.StatusCode.OK, error
                else:
                    raise AssertionError("it did not fail")

            async def requests() -> Any:
                for number in range(3):
                    yield request(number, 0, 0)

            assert [total(each) async for each in stub.ModelStreamInfer(requests())] == [0, 0, 1, 1, 2, 2]
        await server.stop()
        await serving

    asyncio.run(asyncio.wait_for(main(), 60))


@check
def autogen() -> None:
    """Agents in two runtimes that have streams to a host: messages, answers, exceptions and broadcasts."""
    import asyncio
    from dataclasses import make_dataclass

    from autogen_core import AgentId, DefaultTopicId, MessageContext, RoutedAgent, default_subscription, message_handler
    from autogen_core._serialization import try_get_known_serializers_for_type
    from autogen_ext.runtimes.grpc import GrpcWorkerAgentRuntime, GrpcWorkerAgentRuntimeHost

    Text = make_dataclass("Text", [("text", str)])  # noqa: N806
    given: list[tuple[str, str]] = []

    class Doubling(RoutedAgent):  # type: ignore[misc]
        async def double(self, message: Any, ctx: Any) -> Any:
            given.append((str(self.id), message.text))
            if message.text == "bad":
                raise ValueError("no such text")
            return Text(2 * message.text)

    Doubling.double.__annotations__ = {"message": Text, "ctx": MessageContext, "return": Text}
    Doubling.double = message_handler(Doubling.double)  # type: ignore[method-assign]
    agent = default_subscription(Doubling)

    async def main() -> None:
        address = f"127.0.0.1:{free_port()}"
        host = GrpcWorkerAgentRuntimeHost(address=address)
        host.start()
        runtimes = {name: GrpcWorkerAgentRuntime(host_address=address) for name in ("one", "other")}
        for name, runtime in runtimes.items():
            runtime.add_message_serializer(try_get_known_serializers_for_type(Text))
            await runtime.start()
            await agent.register(runtime, name, lambda: agent("doubling"))
        answer = await runtimes["one"].send_message(Text("x"), AgentId("other", "default"))
        assert answer.text == "xx", answer
        try:
            await runtimes["one"].send_message(Text("bad"), AgentId("other", "default"))
        except Exception as error:
            assert "no such text" in str(error), error
        else:
            raise AssertionError("it did not fail")
        await runtimes["one"].publish_message(Text("all"), DefaultTopicId())
        for _ in range(600):
            if {each for each, text in given if text == "all"} == {"one/default", "other/default"}:
                break
            await asyncio.sleep(0.05)
        else:
            raise AssertionError(given)
        for runtime in runtimes.values():
            await runtime.stop()
        await host.stop()

    asyncio.run(asyncio.wait_for(main(), 60))


if __name__ == "__main__":
    sys.exit(check.run())
