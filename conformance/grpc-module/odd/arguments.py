"""Bad arguments, and the exceptions that they bring."""

from __future__ import annotations

import copy
import operator
import pickle
from concurrent import futures
from typing import Any

import grpc
from running import Telling, server


def echo(request: bytes, context: Any) -> bytes:
    return request


ECHO = {"Call": grpc.unary_unary_rpc_method_handler(echo)}


def use_bad_metadata(tell: Telling) -> None:
    made, port = server(ECHO)
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        call = channel.unary_unary("/a.B/Call")
        for metadata in (
            [("Key", "upper")], [("key", b"bytes")], [("key", 1)], [("key", None)], [("key-bin", "text")], [("key",)],
            [("ke y", "space")], [("", "empty")], [("key", "line\n")], [("key", "é")], [(b"key", "value")],
            {"key": "value"}, [["key", "value"]], (("key", "value"),), [], None, [(":path", "x")],
            [("grpc-timeout", "1S")], [("key", "  padded ")], [("key-bin", b"\x00\xff")], [("te", "x")], "text", 5,
            [("content-type", "x/y")], [("user-agent", "me")],
        ):  # fmt: skip
            tell.raising(f"metadata {metadata!r}", call, b"", metadata=metadata, timeout=5)
            tell.raising(f"future with {metadata!r}", lambda m=metadata: call.future(b"", metadata=m).result(5))
    made.stop(0).wait()


def use_bad_timeouts(tell: Telling) -> None:
    made, port = server(ECHO)
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        call = channel.unary_unary("/a.B/Call")
        for timeout in (-1, -1e9, 1e9, 5, True, "1", b"x", []):
            tell.raising(f"timeout {timeout!r}", call, b"", timeout=timeout)
    made.stop(0).wait()


def use_bad_requests(tell: Telling) -> None:
    made, port = server(ECHO)
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        call = channel.unary_unary("/a.B/Call")
        for request in (None, "text", 5, bytearray(b"ab"), memoryview(b"ab"), [], b"fine"):
            tell.raising(f"request {request!r}"[:24], call, request, timeout=5)
        breaking = channel.unary_unary("/a.B/Call", request_serializer=lambda _: 1 / 0)
        tell.raising("a serializer that raises", breaking, b"", timeout=5)
        tell.raising("and with future", breaking.future, b"", timeout=5)
        wrong = channel.unary_unary("/a.B/Call", request_serializer=lambda _: "text")
        tell.raising("a serializer that gives text", wrong, b"", timeout=5)
        none = channel.unary_unary("/a.B/Call", request_serializer=lambda _: None)
        tell.raising("a serializer that gives None", none, b"", timeout=5)
        unreadable = channel.unary_unary("/a.B/Call", response_deserializer=lambda _: 1 / 0)
        tell.raising("a deserializer that raises", unreadable, b"", timeout=5)
        tell.raising("and with_call", unreadable.with_call, b"", timeout=5)
        tell.raising("and with future", lambda: unreadable.future(b"", timeout=5).result())
        nothing = channel.unary_unary("/a.B/Call", response_deserializer=lambda _: None)
        tell.raising("a deserializer that gives None", nothing, b"", timeout=5)
    made.stop(0).wait()


def use_bad_channels(tell: Telling) -> None:
    for target in (None, 5, b"127.0.0.1:1", "", "127.0.0.1", "unknown:///x", "dns:///", "ipv4:1.2.3.4", "a b"):
        tell.raising(f"insecure_channel({target!r})", grpc.insecure_channel, target)
    for options in (5, [("a",)], [("a", 1, 2)], [(1, 1)], [("a", object())], {"a": 1}, [("a", None)], [("a", 2**40)]):
        text = "object" if "object" in repr(options) else repr(options)
        tell.raising(f"options {text}", grpc.insecure_channel, "127.0.0.1:1", options)
    tell.raising("secure_channel without", grpc.secure_channel, "127.0.0.1:1", None)
    tell.raising("secure_channel with text", grpc.secure_channel, "127.0.0.1:1", "credentials")
    channel = grpc.insecure_channel("127.0.0.1:1")
    for path in (None, 5, b"/a.B/Call", "", "a.B/Call", "/a", "/é/x", "/a b/c"):
        tell.raising(f"unary_unary({path!r})", channel.unary_unary, path)
    tell.raising("intercept_channel with an object", grpc.intercept_channel, channel, object())
    tell.raising("intercept_channel with none", grpc.intercept_channel, channel)
    channel.close()


def use_bad_credentials(tell: Telling) -> None:
    token = grpc.access_token_call_credentials("token")
    ssl = grpc.ssl_channel_credentials()
    tell.raising("composite_call_credentials()", grpc.composite_call_credentials)
    tell.raising("composite_call_credentials(one)", grpc.composite_call_credentials, token)
    tell.raising("composite_channel_credentials(ssl)", grpc.composite_channel_credentials, ssl)
    tell.raising("composite of both", grpc.composite_channel_credentials, ssl, token)
    tell.raising("a key alone", grpc.ssl_channel_credentials, None, b"key", None)
    tell.raising("roots as text", grpc.ssl_channel_credentials, "text")
    tell.raising("server without pairs", grpc.ssl_server_credentials, [])
    tell.raising("server that asks without roots", grpc.ssl_server_credentials, [(b"k", b"c")], None, True)
    tell.raising("local type 5", grpc.local_channel_credentials, 5)
    tell.raising("metadata_call_credentials(None)", grpc.metadata_call_credentials, None)
    made, port = server(ECHO)
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        call = channel.unary_unary("/a.B/Call")
        tell.raising("call credentials without TLS", call, b"", credentials=token, timeout=5)
        tell.raising("credentials that are text", call, b"", credentials="text", timeout=5)
    made.stop(0).wait()


def use_bad_servers(tell: Telling) -> None:
    tell.raising("server(None)", grpc.server, None)
    tell.raising("server('pool')", grpc.server, "pool")
    pool = futures.ThreadPoolExecutor(1)
    tell.raising("handlers [5]", grpc.server, pool, [5])
    tell.raising("interceptors [5]", grpc.server, pool, None, [5])
    tell.raising("maximum_concurrent_rpcs 0", grpc.server, pool, maximum_concurrent_rpcs=0)
    tell.raising("maximum_concurrent_rpcs -1", grpc.server, pool, maximum_concurrent_rpcs=-1)
    made = grpc.server(pool)
    for address in ("", "x", "127.0.0.1", "nowhere.invalid:1", None, 5, "127.0.0.1:x"):
        tell.raising(f"add_insecure_port({address!r})", made.add_insecure_port, address)
    tell.raising("add_secure_port without", made.add_secure_port, "127.0.0.1:0", None)
    tell.raising("stop before start", made.stop, None)
    tell.raising("start after stop", made.start)
    other, _ = server(ECHO)
    tell.raising("start again", other.start)
    tell.raising("add_generic_rpc_handlers after start", other.add_generic_rpc_handlers, (5,))
    tell.raising("wait_for_termination(-1)", other.wait_for_termination, -1)
    tell.raising("wait_for_termination(0.05)", other.wait_for_termination, 0.05)
    other.stop(0).wait()
    tell.raising("wait_for_termination", other.wait_for_termination)
    tell.raising("stop again", lambda: other.stop(0).wait(5))
    tell.raising("start after stop", other.start)


def use_a_port_that_is_taken(tell: Telling) -> None:
    made, port = server(ECHO, options=[("grpc.so_reuseport", 0)])
    other = grpc.server(futures.ThreadPoolExecutor(1), options=[("grpc.so_reuseport", 0)])
    tell.raising("add_insecure_port", other.add_insecure_port, f"127.0.0.1:{port}")
    made.stop(0).wait()


def use_copies_and_pickles(tell: Telling) -> None:
    tell.raising("a code", lambda: pickle.loads(pickle.dumps(grpc.StatusCode.OK)))
    tell.raising("a code, copied", copy.copy, grpc.StatusCode.NOT_FOUND)
    tell.raising("compression", lambda: pickle.loads(pickle.dumps(grpc.Compression.Gzip)))
    tell.raising("connectivity", lambda: pickle.loads(pickle.dumps(grpc.ChannelConnectivity.READY)).name)
    with grpc.insecure_channel("127.0.0.1:1") as channel:
        tell.raising("a channel, pickled", pickle.dumps, channel)
        call = channel.unary_unary("/a.B/Call")
        tell.raising("a multi-callable, pickled", pickle.dumps, call)
        try:
            call(b"", timeout=5)
        except grpc.RpcError as error:
            tell("is a Call", isinstance(error, grpc.Call), "is a Future", isinstance(error, grpc.Future))
            tell.raising("copied", copy.copy, error)
    for value in (grpc.RpcError("text"), grpc.FutureTimeoutError("text"), grpc.FutureCancelledError("text")):
        tell.raising("pickled", lambda v=value: pickle.loads(pickle.dumps(v)).args)
        tell(type(value).__mro__[1].__name__, str(value), repr(value))
    error = grpc.aio.AioRpcError(
        grpc.StatusCode.ABORTED, grpc.aio.Metadata(("a", "b")), grpc.aio.Metadata(), "why", "d"
    )
    again = pickle.loads(pickle.dumps(error))
    tell(again.code(), again.details(), again.initial_metadata(), again.debug_error_string())
    tell(str(again).splitlines())
    tell(copy.deepcopy(grpc.aio.Metadata(("a", "b"))))
    tell(pickle.loads(pickle.dumps(grpc.aio.Metadata(("a", "b")))))
    tell.raising("EOF", lambda: bool(grpc.aio.EOF))
    tell(repr(grpc.aio.EOF), str(grpc.aio.EOF))


def use_names_and_values(tell: Telling) -> None:
    for kind in (grpc.StatusCode, grpc.ChannelConnectivity, grpc.Compression, grpc.LocalConnectionType):
        tell(kind.__name__, [(each.name, repr(each.value)) for each in kind])
    tell(sorted(grpc.__all__))
    tell(sorted(grpc.aio.__all__))
    tell.raising("a name that is not there", lambda: grpc.nothing_of_the_kind)
    tell(grpc.StatusCode.OK.value, grpc.StatusCode.OK, repr(grpc.StatusCode.OK), str(grpc.StatusCode.OK))
    tell.raising("a code by number", grpc.StatusCode, 5)
    tell.raising("a code by its value", grpc.StatusCode, (5, "not found"))
    tell.raising("an abstract channel", grpc.Channel)
    tell.raising("an abstract interceptor", grpc.UnaryUnaryClientInterceptor)
    tell.raising("an abstract context", grpc.ServicerContext)


def use_metadata_of_asyncio(tell: Telling) -> None:
    made = grpc.aio.Metadata(("a", "1"), ("b", "2"), ("a", "3"))
    tell(made, str(made), repr(made), len(made), list(made), dict(made))
    tell(made["a"], made.get_all("a"), made.get("c"), "a" in made, ("a", "1") in made, made == made, made + made)
    made["a"] = "4"
    made.add("c", b"5")
    tell(made, list(made.keys()), list(made.values()), list(made.items()))
    made.set_all("a", ["x", "y"])
    tell(made)
    made.delete_all("a")
    tell(made)
    del made["b"]
    tell(made)
    tell.raising("one that is not there", lambda: made["zz"])
    tell.raising("deleting that", lambda: made.__delitem__("zz"))
    tell.raising("deleting all of that", lambda: made.delete_all("zz"))
    tell.raising("setting what is not there", lambda: made.__setitem__("new", "1"))
    tell(made, grpc.aio.Metadata.from_tuple((("k", "v"),)), grpc.aio.Metadata.from_tuple(None))
    tell.raising("from a text", grpc.aio.Metadata.from_tuple, "text")
    tell(made == (("c", b"5"),), made == grpc.aio.Metadata(("c", b"5")), made != (("x", "y"),))
    tell.raising("plus a tuple", operator.add, made, (("k", "v"),))
    tell.raising("plus a list", operator.add, made, [("k", "v")])
    tell.raising("hash", hash, made)
