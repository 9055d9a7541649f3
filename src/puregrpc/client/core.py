"""What Client and AsyncClient have in common: the schema, requests to bytes, outcomes to responses. No I/O."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from puregrpc.client.backend import CallRequest, Outcome
from puregrpc.client.constants import StatusName
from puregrpc.client.debug import DebugLog
from puregrpc.client.definitions import base_folders, find_sources, method_infos
from puregrpc.client.measure import CallMeter, Meter
from puregrpc.client.params import INVOKE_TIMEOUT, MAX_SEND_SIZE, NO_PARAMS, CallParams, ConnectParams, call_params
from puregrpc.client.records import CallError, MethodInfo, Response
from puregrpc.client.status import as_k6_says
from puregrpc.codec import Codec
from puregrpc.errors import DecodeError, InvalidArgument, NotConnected
from puregrpc.metrics import Metrics, running_metrics
from puregrpc.metrics.current import SCRIPT
from puregrpc.proto import compile as compile_proto
from puregrpc.proto.descriptors import MethodDescriptor
from puregrpc.schema import Registry, load_files, load_protoset
from puregrpc.wire.metadata import is_reserved
from puregrpc.wire.status import Status, StatusCode

__all__ = ["BoundMethod", "ClientCore", "PreparedCall"]

NOT_CONNECTED = "no gRPC connection, you must call connect first"
UNMARSHAL = "grpc: failed to unmarshal the received message: "

_NAME = re.compile(r"[0-9a-z_.-]+")
_VALUE = re.compile(r"[ -~]*")


@dataclass(frozen=True, slots=True)
class BoundMethod:
    """A method with the way its messages become bytes."""

    descriptor: MethodDescriptor
    path: str
    encode: Callable[[Any], bytes]
    decode: Callable[[bytes], Any]


class PreparedCall(NamedTuple):
    """A call that is ready to be sent, or that cannot be and has ended already (``refused``).

    A tuple, since each call makes one: a frozen dataclass takes three times as long to make.
    """

    method: BoundMethod
    params: CallParams
    request: CallRequest
    meter: CallMeter
    refused: Status | None = None
    measured: bool = True
    """Whether the refusal counts as a call in the metrics."""
    as_message: bool = False
    """The response's message is wanted as a google.protobuf object."""


@dataclass(slots=True)
class ClientCore:
    """The part of a client that knows the schema and not the network."""

    metrics: Metrics = field(default_factory=lambda: running_metrics() or Metrics(tags=SCRIPT.tags, include=SCRIPT))
    registry: Registry = field(default_factory=Registry)
    codec: Codec = field(init=False)
    meter: Meter = field(init=False)
    debug: DebugLog = field(init=False)
    address: str = ""
    """As given to connect; empty without a connection."""
    max_send_size: int = MAX_SEND_SIZE
    _methods: dict[str, BoundMethod] = field(default_factory=dict)
    _version: int = -1

    def __post_init__(self) -> None:
        self.codec = Codec(self.registry)
        self.meter = Meter(self.metrics)
        self.debug = DebugLog(self.codec)

    # -- the schema

    def load(self, import_paths: Sequence[str | os.PathLike[str]] | None, files: Sequence[object]) -> list[MethodInfo]:
        """See `Client.load`."""
        names, roots = find_sources(import_paths, files)
        return method_infos(load_files(self.registry, roots, *names))

    def load_protoset(self, path: str | os.PathLike[str]) -> list[MethodInfo]:
        """See `Client.load_protoset`."""
        if not isinstance(path, str | os.PathLike):
            raise InvalidArgument(f"a protoset is named by its path, not {path!r}")
        places = [folder / path for folder in base_folders()]
        return method_infos(load_protoset(self.registry, next((p for p in places if p.exists()), path)))

    def method(self, url: object) -> BoundMethod:
        """The method that a script names. Raises InvalidArgument, SchemaError."""
        if self._version != self.registry.version:
            self._methods.clear()
            self._version = self.registry.version
        if isinstance(url, str):
            known = self._methods.get(url)
            if known is not None:
                return known
        if not url or not isinstance(url, str):
            if url is None or isinstance(url, str):
                raise InvalidArgument("method to invoke cannot be empty")
            raise InvalidArgument(f"a method is named by text such as 'pkg.Service/Method', not {url!r}")
        descriptor = self.registry.method(url)
        bound = BoundMethod(
            descriptor,
            descriptor.path,
            self.codec.encoder(descriptor.input_type),
            self.codec.decoder(descriptor.output_type),
        )
        self._methods[url] = bound
        return bound

    # -- a unary call

    def connected(self, params: ConnectParams, address: str) -> None:
        self.address = address
        self.max_send_size = params.max_send_size

    def prepare(
        self, url: object, request: object, params: object, keywords: Mapping[str, Any], *, as_message: bool = False
    ) -> PreparedCall:
        """Check everything about a unary call and encode its request.

        Raises NotConnected, InvalidArgument, SchemaError, EncodeError: what is wrong with the call itself.
        """
        if not self.address:
            raise NotConnected(NOT_CONNECTED)
        method = self.method(url)
        checked = call_params(params, keywords, "invalid GRPC's client.invoke() parameters")
        if request is None:
            raise InvalidArgument("request cannot be nil")
        data = method.encode(request)
        if checked is NO_PARAMS and len(data) <= self.max_send_size:
            path = method.path
            head = CallRequest(path, data, (), INVOKE_TIMEOUT / 1000)
            return PreparedCall(
                method, checked, head, self.meter.call(self.address, path, checked.tags), as_message=as_message
            )
        timeout = INVOKE_TIMEOUT if checked.timeout is None else checked.timeout
        refused, measured = self.refusal(checked, data), True
        if refused is None:
            problem = metadata_problem(checked.metadata)
            refused, measured = (Status(StatusCode.INTERNAL, problem), False) if problem else (None, True)
        head = CallRequest(method.path, data, sendable(checked.metadata), timeout / 1000)
        meter = self.meter.call(self.address, method.path, checked.tags)
        return PreparedCall(method, checked, head, meter, refused, measured, as_message)

    def refusal(self, params: CallParams, data: bytes) -> Status | None:
        """The status of a call that is over before it is sent: too large, or too late."""
        if len(data) > self.max_send_size:
            problem = f"trying to send message larger than max ({len(data)} vs. {self.max_send_size})"
            return Status(StatusCode.RESOURCE_EXHAUSTED, problem)
        if params.timeout is not None and params.timeout < 0:
            return as_k6_says(StatusCode.DEADLINE_EXCEEDED, "the deadline has passed")
        return None

    def refuse(self, call: PreparedCall) -> Response | None:
        """The response of a call that cannot be sent."""
        if call.refused is None:
            return None
        if call.measured:
            call.meter.end(call.refused.code)
        return self._response(call, call.refused, Outcome(call.refused), None)

    def respond(self, call: PreparedCall, outcome: Outcome) -> Response:
        """Measure the call and make its response."""
        status = outcome.status
        if status.code:
            status = as_k6_says(status.code, status.message, status.details)
        message: Any = None
        if status.code == 0 and not call.params.discard_response_message:
            try:
                message = self.shown(call, outcome.message or b"")
            except DecodeError as error:
                status = Status(StatusCode.INTERNAL, f"{UNMARSHAL}proto: {error}")
        call.meter.end(status.code)
        self.debug.unary(self.address, call, outcome, status)
        return self._response(call, status, outcome, message)

    def shown(self, call: PreparedCall, data: bytes) -> Any:
        output = call.method.descriptor.output_type
        return self.codec.to_message(output, data) if call.as_message else call.method.decode(data)

    def _response(self, call: PreparedCall, status: Status, outcome: Outcome, message: Any) -> Response:
        error: CallError | None = None
        trailers = grouped(outcome.trailers)
        if status.code:
            error = self.error(status)
            if not call.params.discard_response_message:
                message = self.shown(call, b"")
            if outcome.status.details is not None:
                trailers.setdefault("grpc-status-details-bin", [outcome.status.details])
        return Response(message, error, grouped(outcome.headers), trailers, status.code, self.metrics)

    @staticmethod
    def status(code: int) -> StatusName:
        """A code as a script sees it."""
        return StatusName(code)

    def error(self, status: Status) -> CallError:
        """A status as a script sees it; without a message, the code's name stands in."""
        details: list[dict[str, Any]] = []
        if status.details is not None:
            details = self._details(status.details)
        return CallError(status.code, status.message or str(StatusName(status.code)), details)

    def _details(self, serialized: bytes) -> list[dict[str, Any]]:
        registry = self.registry
        if "google/rpc/status.proto" not in registry.files or "google/rpc/error_details.proto" not in registry.files:
            for file in compile_proto(["google/rpc/status.proto", "google/rpc/error_details.proto"]):
                registry.add_file(file)
        try:
            decoded = self.codec.decode(registry.message("google.rpc.Status"), serialized)
        except DecodeError:
            return []
        found: list[dict[str, Any]] = decoded["details"]
        return found


def grouped(metadata: Sequence[tuple[str, str | bytes]]) -> dict[str, list[str | bytes]]:
    """Metadata as name -> list of values."""
    found: dict[str, list[str | bytes]] = {}
    for name, value in metadata:
        found.setdefault(name, []).append(value)
    return found


def metadata_problem(metadata: Sequence[tuple[str, str | bytes]]) -> str:
    """Why metadata cannot be sent, in grpc-go's words; empty if it can."""
    for name, value in metadata:
        if not name:
            return "there is an empty key in the header"
        if name.startswith(":"):
            continue
        if not _NAME.fullmatch(name):
            return f'header key "{name}" contains illegal characters not in [0-9a-z-_.]'
        if isinstance(value, str) and not _VALUE.fullmatch(value):
            return f'header key "{name}" contains value with non-printable ASCII characters'
    return ""


def sendable(metadata: Sequence[tuple[str, str | bytes]]) -> tuple[tuple[str, str | bytes], ...]:
    """Metadata without what HTTP/2 and gRPC set themselves, which k6 leaves out silently too."""
    if not metadata:
        return ()
    return tuple((name, value) for name, value in metadata if not is_reserved(name))
