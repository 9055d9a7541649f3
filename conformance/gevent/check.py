"""The blocking client with gevent's monkey patching: 50 greenlets on one connection, streams, a deadline, an error.

Usage: ``python -m conformance.gevent.check [CALLS]``; needs gevent. The server runs in a process of its own.
"""

from gevent import monkey

monkey.patch_all()

import subprocess  # noqa: E402 - after the patching, as Locust does it
import sys  # noqa: E402
import time  # noqa: E402

import gevent  # noqa: E402

from puregrpc import Client, RpcError, StatusDeadlineExceeded, StatusOK  # noqa: E402


def check(address: str, calls: int) -> None:
    with Client() as client:
        client.connect(address, plaintext=True, reflect=True, timeout="10s")

        def greet(count: int) -> None:
            for number in range(count):
                response = client.invoke("hello.HelloService/SayHello", {"greeting": str(number)}, timeout="10s")
                assert response.status == StatusOK, response.error
                assert response.message == {"reply": f"hello {number}"}

        for greenlets in (1, 50):
            began = time.perf_counter()
            gevent.joinall([gevent.spawn(greet, calls // greenlets) for _ in range(greenlets)], raise_error=True)
            print(f"{greenlets:3} greenlets: {calls / (time.perf_counter() - began):8.0f} calls/s")

        stream = client.stream("hello.HelloService/BidiHello")
        for name in ("Bert", "Ernie"):
            stream.write({"greeting": name})
        stream.end()
        assert [message["reply"] for message in stream] == ["hello Bert", "hello Ernie"]
        future = client.async_invoke("hello.HelloService/SayHello", {"greeting": "later"})
        assert future.result(10).message == {"reply": "hello later"}
        silent = client.stream("hello.HelloService/BidiHello", timeout="100ms")
        try:
            messages = list(silent)
        except RpcError as error:
            assert error.code == StatusDeadlineExceeded, error
        else:
            raise AssertionError(f"a deadline that did not end its stream: {messages}")
        print("streams, futures and deadlines work")


def main() -> None:
    command = [sys.executable, "-m", "puregrpc", "serve", "--host", "127.0.0.1", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            with gevent.Timeout(120):
                check(server.stdout.readline().split()[-1], int(sys.argv[1]) if len(sys.argv) > 1 else 5000)
        finally:
            server.terminate()


if __name__ == "__main__":
    main()
