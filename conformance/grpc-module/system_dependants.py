"""Whole systems whose parts talk by gRPC, unmodified: each starts its own servers, workers and clients.

As `more_dependants`, in an environment of its own (see `prepare`).
"""

from __future__ import annotations

import contextlib
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

    with contextlib.ExitStack() as stack:
        with contextlib.redirect_stdout(sys.stderr):  # it has banners
            flow = stack.enter_context(Flow(protocol="grpc").add(uses=Upper).add(uses=Upper, replicas=2))
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


if __name__ == "__main__":
    sys.exit(check.run())
