"""Service configs, TLS, pools and servers of asyncio, in their less usual ways."""

from __future__ import annotations

import asyncio
import datetime
import json
import logging
import threading
import time
from collections.abc import AsyncIterator, Iterator
from concurrent import futures
from typing import Any

import grpc
from grpc import aio
from running import Telling, described, server


def quiet() -> None:
    for name in ("grpc", "grpc._cython.cygrpc", "grpc._server", "grpc._channel", "grpc.aio", "grpc._common"):
        logging.getLogger(name).setLevel(logging.CRITICAL)


def config(**method: Any) -> list[tuple[str, Any]]:
    """A channel's options with a service config for all methods."""
    return [("grpc.service_config", json.dumps({"methodConfig": [{"name": [{}], **method}]}))]


def retries(codes: list[str], attempts: int = 4) -> dict[str, Any]:
    return {
        "maxAttempts": attempts, "initialBackoff": "0.01s", "maxBackoff": "0.02s", "backoffMultiplier": 2,
        "retryableStatusCodes": codes,
    }  # fmt: skip


def use_retries(tell: Telling) -> None:
    quiet()
    tries: list[Any] = []

    def flaky(request: bytes, context: Any) -> bytes:
        tries.append([value for key, value in context.invocation_metadata() if key == "grpc-previous-rpc-attempts"])
        if len(tries) < int(request):
            context.abort(grpc.StatusCode.UNAVAILABLE, f"try {len(tries)}")
        return b"done"

    def pushes_back(request: bytes, context: Any) -> bytes:
        tries.append(1)
        context.set_trailing_metadata((("grpc-retry-pushback-ms", request.decode()),))
        context.abort(grpc.StatusCode.UNAVAILABLE, "later")
        return b""

    def flaky_stream(request: bytes, context: Any) -> Iterator[bytes]:
        tries.append(1)
        if len(tries) < 3:
            context.abort(grpc.StatusCode.UNAVAILABLE, "before")
        yield b"1"
        if len(tries) < 4 and request == b"late":
            context.abort(grpc.StatusCode.UNAVAILABLE, "behind the first")
        yield b"2"

    def joins(requests: Any, context: Any) -> bytes:
        got = b"".join(requests)
        tries.append(got)
        if len(tries) < 3:
            context.abort(grpc.StatusCode.UNAVAILABLE, "again")
        return got

    def headers_first(request: bytes, context: Any) -> bytes:
        tries.append(1)
        context.send_initial_metadata((("i", "1"),))
        context.abort(grpc.StatusCode.UNAVAILABLE, "committed")
        return b""

    handlers = {
        "Flaky": grpc.unary_unary_rpc_method_handler(flaky), "Joins": grpc.stream_unary_rpc_method_handler(joins),
        "Pushes": grpc.unary_unary_rpc_method_handler(pushes_back),
        "Stream": grpc.unary_stream_rpc_method_handler(flaky_stream),
        "Headers": grpc.unary_unary_rpc_method_handler(headers_first),
    }  # fmt: skip
    made, port = server(handlers)
    options = config(retryPolicy=retries(["UNAVAILABLE"]))
    with grpc.insecure_channel(f"127.0.0.1:{port}", options) as channel:
        for count in (b"1", b"3", b"4", b"9"):
            tries.clear()
            tell.raising(f"flaky {count!r}", channel.unary_unary("/a.B/Flaky"), count, timeout=5)
            tell(tries)
        for pause in (b"10", b"-1", b"nonsense"):
            tries.clear()
            tell.raising(f"pushed back {pause!r}", channel.unary_unary("/a.B/Pushes"), pause, timeout=5)
            tell(len(tries))
        for request in (b"x", b"late"):
            tries.clear()
            call = channel.unary_stream("/a.B/Stream")(request, timeout=5)
            tell.raising(f"stream {request!r}", list, call)
            tell(len(tries), call.code())
        tries.clear()
        tell.raising("joins", channel.stream_unary("/a.B/Joins"), iter([b"a", b"b"]), timeout=5)
        tell(len(tries))
        tries.clear()
        tell.raising("headers", channel.unary_unary("/a.B/Headers"), b"", timeout=5)
        tell(len(tries))
    for name, more in (("off", [("grpc.enable_retries", 0)]), ("on", [("grpc.enable_retries", 1)])):
        with grpc.insecure_channel(f"127.0.0.1:{port}", options + more) as channel:
            tries.clear()
            tell.raising(name, channel.unary_unary("/a.B/Flaky"), b"3", timeout=5)
            tell(len(tries))
    with grpc.insecure_channel(f"127.0.0.1:{port}", config(retryPolicy=retries(["ABORTED"]))) as channel:
        tries.clear()
        tell.raising("another code", channel.unary_unary("/a.B/Flaky"), b"3", timeout=5)
        tell(len(tries))
    made.stop(0).wait()


def use_service_configs(tell: Telling) -> None:
    quiet()

    def slow(request: bytes, context: Any) -> bytes:
        time.sleep(0.3)
        return request

    made, port = server({"Call": grpc.unary_unary_rpc_method_handler(slow)})
    target = f"127.0.0.1:{port}"
    with grpc.insecure_channel(target, config(timeout="0.1s")) as channel:
        tell.raising("a timeout", channel.unary_unary("/a.B/Call"), b"x")
        tell.raising("a later one of the call's", channel.unary_unary("/a.B/Call"), b"x", timeout=5)
    with grpc.insecure_channel(target, config(timeout="5s")) as channel:
        tell.raising("a sooner one of the call's", channel.unary_unary("/a.B/Call"), b"x", timeout=0.1)
    with grpc.insecure_channel(target, config(maxRequestMessageBytes=4, maxResponseMessageBytes=6)) as channel:
        for request in (b"1234", b"12345"):
            result = Telling().raising("", channel.unary_unary("/a.B/Call"), request, timeout=5)
            tell("limited", len(request), result.code() if isinstance(result, grpc.RpcError) else result)
    method: dict[str, Any] = {"name": [{}]}
    more: list[Any] = [
        {"waitForReady": True}, {"timeout": "3.000000001s"}, {"maxRequestMessageBytes": "4"},
        {"unknown": {"a": 1}}, {"retryPolicy": retries(["UNAVAILABLE"], 9)},
        {"name": []}, {"name": [{"service": "a.B"}, {"service": "a.B", "method": "Call"}]},
        {"retryPolicy": {**retries(["UNAVAILABLE"]), "perAttemptRecvTimeout": "1s"}},
        {"retryPolicy": {**retries(["UNAVAILABLE"]), "backoffMultiplier": 1.5, "unknown": 1}},
    ]  # fmt: skip
    texts = [json.dumps({"methodConfig": [{**method, **each}]}) for each in more]
    wholes: list[Any] = [
        {"loadBalancingConfig": [{"round_robin": {}}]}, {"loadBalancingPolicy": "round_robin"},
        {"loadBalancingPolicy": "ROUND_ROBIN"}, {"loadBalancingConfig": [{"nobody_knows": {}}, {"pick_first": {}}]},
        {"retryThrottling": {"maxTokens": 10, "tokenRatio": 0.1}}, {"healthCheckConfig": {"serviceName": ""}},
        {"loadBalancingConfig": [{"pick_first": {"shuffleAddressList": True}}]}, {"methodConfig": [], "more": None},
    ]  # fmt: skip
    for text in ("{}", '{"methodConfig": []}', '{"unknown": 1}', *texts, *(json.dumps(each) for each in wholes)):
        with grpc.insecure_channel(target, [("grpc.service_config", text)]) as channel:
            result = Telling().raising("", channel.unary_unary("/a.B/Call"), b"x", timeout=5)
            tell("config", text, result.code() if isinstance(result, grpc.RpcError) else result)
    made.stop(0).wait()


def use_deadlines_of_contexts(tell: Telling) -> None:
    quiet()

    def look(request: bytes, context: Any) -> bytes:
        remaining = context.time_remaining()
        tell(type(remaining).__name__, remaining is None or remaining > 1e6, remaining is not None and remaining < 6)
        return request

    made, port = server({"Call": grpc.unary_unary_rpc_method_handler(look)})
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        for timeout in (None, 5, 1e9):
            tell.raising(f"timeout {timeout}", channel.unary_unary("/a.B/Call"), b"", timeout=timeout)
            future = channel.unary_unary("/a.B/Call").future(b"", timeout=timeout)
            remaining = future.time_remaining()
            tell(type(remaining).__name__, future.result())
    made.stop(0).wait()


class OwnPool(futures.Executor):
    """An executor that is no pool of threads."""

    def __init__(self) -> None:
        self.given: list[str] = []
        self.is_full = False

    def submit(self, fn: Any, /, *arguments: Any, **keywords: Any) -> Any:
        if self.is_full:
            raise RuntimeError("no room")
        self.given.append("task")
        future: futures.Future[Any] = futures.Future()

        def run() -> None:
            try:
                future.set_result(fn(*arguments, **keywords))
            except BaseException as error:
                future.set_exception(error)

        threading.Thread(target=run, daemon=True).start()
        return future


def use_pools(tell: Telling) -> None:
    quiet()

    def call(request: bytes, context: Any) -> bytes:
        time.sleep(0.05)
        return request

    handlers = {"Call": grpc.unary_unary_rpc_method_handler(call)}
    pool = futures.ThreadPoolExecutor(1)
    made = grpc.server(pool)
    made.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("a.B", handlers),))
    port = made.add_insecure_port("127.0.0.1:0")
    made.start()
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        several = [channel.unary_unary("/a.B/Call").future(b"%d" % number, timeout=5) for number in range(5)]
        tell("of a pool of one", [each.result() for each in several])
        slow = [channel.unary_unary("/a.B/Call").future(b"x", timeout=0.12) for _ in range(6)]
        tell("the last is late", [each.code() for each in slow][-1])
        tell.raising("and then", channel.unary_unary("/a.B/Call"), b"y", timeout=5)
    made.stop(0).wait()
    own = OwnPool()
    made = grpc.server(own)
    made.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("a.B", handlers),))
    port = made.add_insecure_port("127.0.0.1:0")
    made.start()
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        tell.raising("an executor of one's own", channel.unary_unary("/a.B/Call"), b"y", timeout=5)
        tell(len(own.given) > 0)
    made.stop(0).wait()


def certificates() -> tuple[bytes, bytes, bytes, bytes]:
    """A key and a certificate of localhost and of a client, each its own root."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    found: list[bytes] = []
    for common_name in ("localhost", "client"):
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, common_name)])
        now = datetime.datetime.now(datetime.timezone.utc)
        certificate = (
            x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=1))
            .not_valid_after(now + datetime.timedelta(days=2))
            .add_extension(x509.SubjectAlternativeName([x509.DNSName(common_name)]), critical=False)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .sign(key, hashes.SHA256())
        )
        encoding = serialization.Encoding.PEM
        found.append(key.private_bytes(encoding, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
        found.append(certificate.public_bytes(encoding))
    return found[0], found[1], found[2], found[3]


def use_tls(tell: Telling) -> None:
    quiet()
    key, certificate, client_key, client_certificate = certificates()
    names = "security_level", "ssl_tls_version", "transport_security_type", "x509_common_name", "x509_subject"

    def look(request: bytes, context: Any) -> bytes:
        shown = {name: values for name, values in context.auth_context().items() if name in names}
        tell(sorted(shown.items()), context.peer_identities(), context.peer_identity_key())
        tell([pair for pair in context.invocation_metadata() if pair[0] != "user-agent"])
        return request

    handlers = {"Call": grpc.unary_unary_rpc_method_handler(look)}

    def serving(credentials: Any) -> tuple[Any, int]:
        made = grpc.server(futures.ThreadPoolExecutor(4))
        made.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("a.B", handlers),))
        port = made.add_secure_port("localhost:0", credentials)
        made.start()
        return made, port

    def call(what: str, port: int, own: Any, options: Any = None, **keywords: Any) -> None:
        with grpc.secure_channel(f"localhost:{port}", own, options) as channel:
            result = Telling().raising("", channel.unary_unary("/a.B/Call"), b"x", timeout=5, **keywords)
            if isinstance(result, grpc.RpcError) and result.code() is not grpc.StatusCode.UNAVAILABLE:
                result = described(result)
            tell(what, result.code() if isinstance(result, grpc.RpcError) else result)

    class Plugin(grpc.AuthMetadataPlugin):  # type: ignore[misc]
        def __call__(self, context: Any, callback: Any) -> None:
            tell(context.service_url.replace(str(secure), "PORT"), context.method_name, type(context).__name__)
            callback((("authorization", "mine"),), None)

    class Fails(grpc.AuthMetadataPlugin):  # type: ignore[misc]
        def __call__(self, context: Any, callback: Any) -> None:
            callback((), ValueError("no token"))

    class Raises(grpc.AuthMetadataPlugin):  # type: ignore[misc]
        def __call__(self, context: Any, callback: Any) -> None:
            raise ValueError("raised")

    made, secure = serving(grpc.ssl_server_credentials([(key, certificate)]))
    trusting = grpc.ssl_channel_credentials(certificate)
    call("trusted", secure, trusting)
    call("not trusted", secure, grpc.ssl_channel_credentials(client_certificate))
    call("another name", secure, trusting, [("grpc.ssl_target_name_override", "other")])
    call("authority", secure, trusting, [("grpc.default_authority", "localhost")])
    token = grpc.access_token_call_credentials("token")
    call("token", secure, trusting, credentials=token)
    call("composite", secure, grpc.composite_channel_credentials(trusting, token))
    both = grpc.composite_call_credentials(token, grpc.metadata_call_credentials(Plugin(), "name"))
    call("both", secure, trusting, credentials=both)
    call("channel's and call's", secure, grpc.composite_channel_credentials(trusting, token), credentials=both)
    call("fails", secure, trusting, credentials=grpc.metadata_call_credentials(Fails()))
    call("raises", secure, trusting, credentials=grpc.metadata_call_credentials(Raises()))
    with grpc.insecure_channel(f"localhost:{secure}") as plain:
        result = Telling().raising("", plain.unary_unary("/a.B/Call"), b"x", timeout=5)
        tell("plaintext", result.code() if isinstance(result, grpc.RpcError) else result)
    made.stop(0).wait()
    for demands in (True, False):
        credentials = grpc.ssl_server_credentials([(key, certificate)], client_certificate, demands)
        made, secure = serving(credentials)
        call("mutual", secure, grpc.ssl_channel_credentials(certificate, client_key, client_certificate))
        call("without", secure, trusting)
        call("with another", secure, grpc.ssl_channel_credentials(certificate, key, certificate))
        made.stop(0).wait()
    made = grpc.server(futures.ThreadPoolExecutor(1))
    tell.raising("no key", made.add_secure_port, "localhost:0", grpc.ssl_server_credentials([(b"no", b"no")]))


async def use_handlers_of_other_kinds_on_asyncio(tell: Telling) -> None:
    quiet()

    async def returns_list(request: bytes, context: Any) -> Any:
        return [b"1", b"2"]

    async def yields_and_writes(request: bytes, context: Any) -> AsyncIterator[bytes]:
        yield b"1"
        await context.write(b"2")
        yield b"3"

    async def reads_in_unary(request: bytes, context: Any) -> bytes:
        await tell.awaiting("read", context.read())
        return request

    async def mixes(requests: Any, context: Any) -> bytes:
        first = await context.read()
        rest = [each async for each in requests]
        return bytes(first) + b"".join(rest)

    async def sleeps_late(request: bytes, context: Any) -> bytes:
        context.add_done_callback(lambda found: ends.append((found is context, found.done(), found.cancelled())))
        return request

    ends: list[Any] = []
    unary = {"ReadsInUnary": reads_in_unary, "Done": sleeps_late}
    streams = {"ReturnsList": returns_list, "YieldsAndWrites": yields_and_writes}
    handlers = {name: grpc.unary_unary_rpc_method_handler(each) for name, each in unary.items()}
    handlers.update({name: grpc.unary_stream_rpc_method_handler(each) for name, each in streams.items()})
    handlers["Mixes"] = grpc.stream_unary_rpc_method_handler(mixes)
    made = aio.server()
    made.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("a.B", handlers),))
    port = made.add_insecure_port("127.0.0.1:0")
    await made.start()
    async with aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        for name in unary:
            await tell.awaiting(name, channel.unary_unary(f"/a.B/{name}")(b"x", timeout=5))
        for name in streams:
            call = channel.unary_stream(f"/a.B/{name}")(b"x", timeout=5)
            got: list[Any] = []
            try:
                got.extend([each async for each in call])
            except aio.AioRpcError as error:
                got.append(described(error))
            tell(name, got, await call.code())
        await tell.awaiting("mixes", channel.stream_unary("/a.B/Mixes")([b"a", b"b", b"c"], timeout=5))
    await asyncio.sleep(0.1)
    tell(len(ends))
    await made.stop(None)


async def use_clients_on_asyncio_in_other_ways(tell: Telling) -> None:
    quiet()

    async def echo(request: bytes, context: Any) -> bytes:
        return request

    async def slow(request: bytes, context: Any) -> bytes:
        await asyncio.sleep(0.3)
        return request

    async def echoes(requests: Any, context: Any) -> AsyncIterator[bytes]:
        async for each in requests:
            yield each

    async def ends_early(requests: Any, context: Any) -> AsyncIterator[bytes]:
        yield b"only"

    made = aio.server()
    handlers = {
        "Echo": grpc.unary_unary_rpc_method_handler(echo), "Slow": grpc.unary_unary_rpc_method_handler(slow),
        "Echoes": grpc.stream_stream_rpc_method_handler(echoes),
        "EndsEarly": grpc.stream_stream_rpc_method_handler(ends_early),
    }  # fmt: skip
    made.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("a.B", handlers),))
    port = made.add_insecure_port("127.0.0.1:0")
    await made.start()
    async with aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        echoing = channel.unary_unary("/a.B/Echo")
        tell(await asyncio.gather(*[echoing(b"%d" % number) for number in range(3)]))
        await tell.awaiting("wait_for", asyncio.wait_for(channel.unary_unary("/a.B/Slow")(b"x"), 0.05))
        call = channel.unary_unary("/a.B/Slow")(b"x")
        shielded = asyncio.ensure_future(_awaited(call))
        await asyncio.sleep(0.05)
        shielded.cancel()
        await tell.awaiting("a task that is cancelled", shielded)
        tell(call.cancelled(), call.done(), await call.code(), await call.details())
        call = channel.unary_unary("/a.B/Slow")(b"x", timeout=0.05)
        await tell.awaiting("late", call)
        tell(call.cancelled(), call.done(), call.time_remaining())
        bidi = channel.stream_stream("/a.B/Echoes")()
        await tell.awaiting("connection", bidi.wait_for_connection())
        await bidi.write(b"a")
        tell(await bidi.read())
        await bidi.done_writing()
        await tell.awaiting("write behind the end", bidi.write(b"b"))
        await tell.awaiting("again", bidi.done_writing())
        tell(await bidi.read() is aio.EOF, await bidi.code())
        await tell.awaiting("write", bidi.write(b"c"))
        await tell.awaiting("done_writing", bidi.done_writing())
        await tell.awaiting("read", bidi.read())
        bidi = channel.stream_stream("/a.B/EndsEarly")()
        tell(await bidi.read(), await bidi.read() is aio.EOF)
        await tell.awaiting("write", bidi.write(b"c"))
        tell(await bidi.code())
        bidi = channel.stream_stream("/a.B/Echoes")()
        await bidi.write(b"a")
        async for response in bidi:
            tell(response)
            await tell.awaiting("read", bidi.read())
            await bidi.done_writing()
        reading = channel.stream_stream("/a.B/Echoes")()
        task = asyncio.ensure_future(reading.read())
        await asyncio.sleep(0.05)
        task.cancel()
        await tell.awaiting("a read that is cancelled", task)
        tell(reading.cancelled(), reading.done(), await reading.code())

        async def failing() -> AsyncIterator[bytes]:
            yield b"a"
            raise ValueError("in the requests")

        bidi = channel.stream_stream("/a.B/Echoes")(failing())
        await tell.awaiting("requests that raise", _all(bidi))
        tell(await bidi.code(), await bidi.details())
        for metadata in ((("a", "b"),), [("a", "b")], aio.Metadata(("a", "b")), (), None, {"a": "b"}):
            await tell.awaiting(f"metadata {metadata!r}", _begun(echoing, metadata))
    dead = aio.insecure_channel("127.0.0.1:1")
    call = dead.unary_unary("/a.B/Echo")(b"x")
    result = await Telling().awaiting("", call.wait_for_connection())
    tell("a dead server", type(result).__name__, await call.code())
    stream = dead.stream_stream("/a.B/Echo")()
    result = await Telling().awaiting("", stream.wait_for_connection())
    tell("a dead server", type(result).__name__, await stream.code())
    result = await Telling().awaiting("", stream.write(b"x"))
    tell("write", type(result).__name__)
    await dead.close()
    await made.stop(None)


async def _awaited(call: Any) -> Any:
    return await call


async def _begun(method: Any, metadata: Any) -> Any:
    return await method(b"", metadata=metadata, timeout=5)


async def _all(call: Any) -> list[Any]:
    return [each async for each in call]


def use_both_kinds_at_once(tell: Telling) -> None:
    """A blocking client of a server of asyncio in a thread, and the other way round."""
    quiet()
    ready: futures.Future[Any] = futures.Future()

    async def echo(request: bytes, context: Any) -> bytes:
        return request

    async def main() -> None:
        stop = asyncio.Event()
        made = aio.server()
        made.add_generic_rpc_handlers(
            (grpc.method_handlers_generic_handler("a.B", {"Call": grpc.unary_unary_rpc_method_handler(echo)}),)
        )
        port = made.add_insecure_port("127.0.0.1:0")
        await made.start()
        ready.set_result((port, asyncio.get_running_loop(), stop))
        await stop.wait()
        await made.stop(None)

    thread = threading.Thread(target=lambda: asyncio.run(main()), daemon=True)
    thread.start()
    port, loop, stop = ready.result(5)
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        tell.raising("blocking", channel.unary_unary("/a.B/Call"), b"x", timeout=5)

        async def inside() -> Any:
            return channel.unary_unary("/a.B/Call")(b"y", timeout=5)

        tell("blocking within another loop", asyncio.run(inside()))
        future = channel.unary_unary("/a.B/Call").future(b"z", timeout=5)
        tell(future.result())
    loop.call_soon_threadsafe(stop.set)
    thread.join(5)
    tell(thread.is_alive())
