"""Locust on gRPC: ``locust -f examples/locustfile.py --host localhost:50051``, against ``puregrpc serve``."""

from pathlib import Path
from types import MappingProxyType

from locust import between, task

from puregrpc.integrations.locust import GrpcUser


class Greeter(GrpcUser):
    wait_time = between(0.1, 0.5)
    import_paths = (str(Path(__file__).parent / "definitions"),)
    proto_files = ("hello.proto",)
    connect_params = MappingProxyType({"plaintext": True})

    @task(3)
    def say_hello(self) -> None:
        self.client.invoke("hello.HelloService/SayHello", {"greeting": "Bert"})

    @task
    def lots_of_replies(self) -> None:
        stream = self.client.stream("hello.HelloService/LotsOfReplies")
        stream.write({"greeting": "Bert"})
        stream.end()
        for _ in stream:
            pass
