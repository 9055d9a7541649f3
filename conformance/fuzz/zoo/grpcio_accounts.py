"""Accounts on grpcio: ``python -m conformance.fuzz.zoo.grpcio_accounts PORT FAULT``, ``sound`` for none."""

from __future__ import annotations

import os
import sys
import threading
import time
import unicodedata
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import grpc
from grpc_reflection.v1alpha import reflection

from conformance.fuzz.zoo.reflected import REFLECTION, file_of, pool_of
from puregrpc import protos

pb: Any = protos(Path(__file__).with_name("accounts.proto"))
SERVICE = "accounts.v1.Accounts"
MOST_KEPT = 2000
WORK = 0.004
"""Seconds."""


class Accounts:
    """The methods; ``fault`` names what is wrong with them."""

    def __init__(self, fault: str) -> None:
        self.fault = fault
        self.lock = threading.Lock()
        self.accounts: dict[str, Any] = {}
        self.settings: dict[str, Any] = {}
        self.greetings: dict[bytes, str] = {}
        self.unfinished: list[bytes] = []
        self.count = 0

    def create_account(self, request: Any, context: grpc.ServicerContext) -> Any:
        if len(request.owner) > 1000:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, "owner: at most 1000 characters")
        if self.fault == "same-id-twice":
            number = self.count + 1
            time.sleep(0.0005)
            self.count = number
        else:
            with self.lock:
                self.count += 1
                number = self.count
        account = pb.Account(id=str(number), owner=request.owner, limit=request.limit)
        self.accounts[account.id] = account
        while len(self.accounts) > MOST_KEPT:
            self.accounts.pop(next(iter(self.accounts)), None)
        return account

    def get_account(self, request: Any, context: grpc.ServicerContext) -> Any:
        key = request.id
        if self.fault == "digits-of-any-script" and key.isdigit():
            key = str(int(key))
        account = self.accounts.get(key)
        if account is None:
            context.abort(grpc.StatusCode.NOT_FOUND, "no such account")
        return account

    def _key(self, key: str) -> str:
        if self.fault == "keys-in-any-case":
            return key.lower()
        if self.fault == "keys-are-trimmed":
            return key.strip()
        if self.fault == "keys-in-one-form":
            return unicodedata.normalize("NFC", key)
        if self.fault == "keys-are-cut":
            return key[:64]
        return key

    def put_setting(self, request: Any, context: grpc.ServicerContext) -> Any:
        if len(request.key) > 1000 or len(request.text) > 10_000:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, "key, text: too long")
        self.settings[self._key(request.key)] = pb.Setting.FromString(request.SerializeToString())
        while len(self.settings) > MOST_KEPT:
            self.settings.pop(next(iter(self.settings)), None)
        return pb.PutSettingResponse(settings=1)

    def get_setting(self, request: Any, context: grpc.ServicerContext) -> Any:
        found = self.settings.get(self._key(request.key))
        if found is None:
            context.abort(grpc.StatusCode.NOT_FOUND, "no such setting")
        return found

    def greet(self, request: Any, context: grpc.ServicerContext) -> Any:
        fault = self.fault
        if len(request.name) > 1000 or len(request.time_zone) > 100:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, "name, time_zone: too long")
        if fault == "time-zone" and request.time_zone:
            datetime.now(ZoneInfo(request.time_zone))
        if fault in ("lock-kept-after-deadline", "kept-after-deadline"):
            left = context.time_remaining() or 1.0
            if fault == "lock-kept-after-deadline":
                self.lock.acquire()
            time.sleep(min(WORK, max(left, 0) + 0.001))
            if left < WORK:
                self.unfinished.append(os.urandom(100_000))
                context.abort(grpc.StatusCode.DEADLINE_EXCEEDED, "too late")
            if fault == "lock-kept-after-deadline":
                self.lock.release()
        caller = next((str(value) for name, value in context.invocation_metadata() if name == "x-user"), "you")
        text = f"Hello {request.name}, {caller}"
        if fault == "cached-for-anybody":
            key = request.SerializeToString()
            text = self.greetings.setdefault(key, text)
            while len(self.greetings) > MOST_KEPT:
                self.greetings.pop(next(iter(self.greetings)), None)
        return pb.GreetResponse(text=text)

    def find(self, request: Any, context: grpc.ServicerContext) -> Any:
        fault = self.fault
        if fault == "value-of-no-kind":
            for value in request.filter.fields.values():
                {"null_value": 0, "number_value": 1, "string_value": 2, "bool_value": 3, "struct_value": 4,
                 "list_value": 5}[value.WhichOneof("kind")]  # fmt: skip
        if fault == "mask-of-unknown":
            for path in request.mask.paths:
                getattr(pb.Account(), path.split(".")[0])
        if fault == "day-of-leap-years" and request.HasField("since"):
            seconds = request.since.seconds
            if 0 <= seconds < 1 << 32:
                since = datetime.fromtimestamp(seconds)
                since.replace(year=since.year + 1)
        return pb.FindResponse(found=len(request.after[:100]))


class Labels(grpc.ServerInterceptor):  # type: ignore[misc]
    """Counts calls by their path."""

    def __init__(self) -> None:
        self.counters: dict[str, bytes] = {}

    def intercept_service(self, continuation: Any, details: Any) -> Any:
        """Called for each call."""
        self.counters.setdefault(details.method, os.urandom(60_000))
        return continuation(details)


def _reflect(server: Any) -> None:
    known = "field_mask", "struct", "timestamp"
    pool = pool_of(*(f"google/protobuf/{name}.proto" for name in known), REFLECTION)
    pool.Add(file_of(pb.DESCRIPTOR))
    reflection.enable_server_reflection((SERVICE, reflection.SERVICE_NAME), server, pool=pool)


def main(port: int, fault: str) -> None:
    """Serve for ever."""
    import google.protobuf.field_mask_pb2
    import google.protobuf.struct_pb2
    import google.protobuf.timestamp_pb2  # noqa: F401 - reflection tells them

    accounts = Accounts(fault)
    interceptors = [Labels()] if fault == "label-for-each-path" else []
    server = grpc.server(ThreadPoolExecutor(8), interceptors=interceptors)
    handlers = {}
    for name, function, request in (
        ("CreateAccount", accounts.create_account, pb.CreateAccountRequest),
        ("GetAccount", accounts.get_account, pb.GetAccountRequest),
        ("PutSetting", accounts.put_setting, pb.Setting), ("GetSetting", accounts.get_setting, pb.GetSettingRequest),
        ("Greet", accounts.greet, pb.GreetRequest), ("Find", accounts.find, pb.FindRequest),
    ):  # fmt: skip
        handlers[name] = grpc.unary_unary_rpc_method_handler(
            function, request.FromString, lambda message: message.SerializeToString()
        )
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, handlers),))
    _reflect(server)
    server.add_insecure_port(f"127.0.0.1:{port}")
    server.start()
    server.wait_for_termination()


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
