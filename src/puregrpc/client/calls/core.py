"""What Client and AsyncClient have in common: the schema, requests to bytes, outcomes to responses. No I/O."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from time import perf_counter
from typing import Any

from puregrpc._data import is_file
from puregrpc.client.calls.log import CallLog
from puregrpc.client.calls.measure import Meter
from puregrpc.client.calls.metadata import grouped, metadata_problem, sendable
from puregrpc.client.calls.prepared import BoundMethod, PreparedCall
from puregrpc.client.calls.requests import Outcome, UnaryOutcome
from puregrpc.client.calls.schemas import Schema, loaded
from puregrpc.client.params.call import INVOKE_TIMEOUT, NO_PARAMS, CallParams, call_params
from puregrpc.client.params.connect import MAX_SEND_SIZE, ConnectParams
from puregrpc.client.params.definitions import base_folders, find_sources
from puregrpc.client.results.constants import StatusName
from puregrpc.client.results.records import CallError, MethodInfo, Response
from puregrpc.client.results.wording import DEADLINE, as_k6_says
from puregrpc.codec import Codec, read_status
from puregrpc.codec.options import MAX_ELEMENTS
from puregrpc.errors import DecodeError, InvalidArgument, NotConnected, SchemaError
from puregrpc.metrics import Metrics, running_metrics
from puregrpc.metrics.current import SCRIPT, current_surroundings
from puregrpc.schema import Registry, load_files, load_protoset
from puregrpc.wire.status import Status, StatusCode

__all__ = ["NOT_CONNECTED", "UNMARSHAL", "ClientCore"]

NOT_CONNECTED = "no gRPC connection, you must call connect first"
UNMARSHAL = "grpc: failed to unmarshal the received message: "


@dataclass(slots=True)
class ClientCore:
    """The part of a client that knows the schema and not the network."""

    metrics: Metrics = field(default_factory=lambda: running_metrics() or Metrics(tags=SCRIPT.tags, include=SCRIPT))
    max_elements: int = MAX_ELEMENTS
    schema: Schema = field(init=False)
    meter: Meter = field(init=False)
    log: CallLog = field(init=False)
    address: str = ""
    """As given to connect; empty without a connection."""
    max_send_size: int = MAX_SEND_SIZE

    def __post_init__(self) -> None:
        self._take(Schema.empty(self.max_elements))
        self.meter = Meter(self.metrics)

    def sibling(self) -> ClientCore:
        """One for another connection, with the same schema and metrics, and all that was made of them."""
        made = ClientCore.__new__(ClientCore)
        made.metrics, made.meter = self.metrics, self.meter
        made.schema, made.log = self.schema, self.log
        made.max_elements, made.max_send_size = self.max_elements, self.max_send_size
        made.address = ""
        return made

    # -- the schema

    @property
    def registry(self) -> Registry:
        """Every file that was loaded."""
        return self.schema.registry

    @property
    def codec(self) -> Codec:
        """The codec of what was loaded."""
        return self.schema.codec

    def _take(self, schema: Schema) -> None:
        self.schema = schema
        self.log = CallLog(schema.codec)

    def own_registry(self) -> Registry:
        """The registry, which from here on is this client's alone: its server may add to it."""
        schema = self.schema.private(self.max_elements)
        if schema is not self.schema:
            self._take(schema)
        return schema.registry

    def load(self, import_paths: Sequence[str | os.PathLike[str]] | None, files: Sequence[object]) -> list[MethodInfo]:
        """See `Client.load`."""
        names, roots = find_sources(import_paths, files)
        schema = loaded(
            self.schema,
            ("files", *names, "in", *roots),
            self.max_elements,
            lambda registry: load_files(registry, roots, *names),
            lambda read: [os.path.join(root, name) for name in read for root in roots],  # noqa: PTH118 - there are many
        )
        self._take(schema)
        return schema.infos()

    def load_protoset(self, path: str | os.PathLike[str]) -> list[MethodInfo]:
        """See `Client.load_protoset`."""
        if not isinstance(path, str | os.PathLike):
            raise InvalidArgument(f"a protoset is named by its path, not {path!r}")
        places = [place for folder in base_folders() if is_file(str(place := folder / path))]
        found = str(places[0] if places else path)
        schema = loaded(
            self.schema,
            ("protoset", found),
            self.max_elements,
            lambda registry: load_protoset(registry, found),
            lambda _: [found],
        )
        self._take(schema)
        return schema.infos()

    def method(self, url: object) -> BoundMethod:
        """The method that a script names. Raises InvalidArgument, SchemaError."""
        schema = self.schema
        if schema.version != schema.registry.version:
            schema.methods.clear()
            schema.version = schema.registry.version
        try:
            return schema.methods[url]  # type: ignore[index]  # what is no text is not among them, or cannot be
        except (KeyError, TypeError):
            pass
        if not url or not isinstance(url, str):
            if url is None or isinstance(url, str):
                raise InvalidArgument("method to invoke cannot be empty")
            raise InvalidArgument(f"a method is named by text such as 'pkg.Service/Method', not {url!r}")
        descriptor = schema.registry.method(url)
        bound = BoundMethod(
            descriptor,
            descriptor.path,
            schema.codec.encoder(descriptor.input_type),
            schema.codec.decoder(descriptor.output_type),
        )
        schema.methods[url] = bound
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
        decode = (method.decode_object or self._object_decoder(method)) if as_message else method.decode
        path = method.path
        surroundings = current_surroundings()
        series, behind = self.meter.calls(self.address, path, surroundings, checked.tags), surroundings.behind
        began = perf_counter()
        if checked is NO_PARAMS and len(data) <= self.max_send_size:
            return PreparedCall(
                path, data, (), INVOKE_TIMEOUT / 1000, method, checked, decode, series, began, behind
            )  # by position: keywords cost a class half a microsecond
        timeout = (INVOKE_TIMEOUT if checked.timeout is None else checked.timeout) / 1000
        refused, measured = self.refusal(checked, data), True
        if refused is None:
            problem = metadata_problem(checked.metadata)
            refused, measured = (Status(StatusCode.INTERNAL, problem), False) if problem else (None, True)
        metadata = sendable(checked.metadata)
        return PreparedCall(
            path, data, metadata, timeout, method, checked, decode, series, began, behind, refused, measured
        )

    def _object_decoder(self, method: BoundMethod) -> Callable[[bytes], Any]:
        found = method.decode_object = self.codec.message_decoder(method.descriptor.output_type)
        return found

    def refusal(self, params: CallParams, data: bytes) -> Status | None:
        """The status of a call that is over before it is sent: too large, or too late."""
        if len(data) > self.max_send_size:
            problem = f"trying to send message larger than max ({len(data)} vs. {self.max_send_size})"
            return Status(StatusCode.RESOURCE_EXHAUSTED, problem)
        if params.timeout is not None and params.timeout < 0:
            return DEADLINE
        return None

    def refuse(self, call: PreparedCall, status: Status) -> Response:
        """The response of a call that cannot be sent."""
        if call.measured:
            call.series.ended(status.code, call.began, perf_counter())
        return self._failure(call, Outcome(status), status)

    def respond(self, call: PreparedCall, outcome: UnaryOutcome) -> Response:
        """Measure the call and make its response."""
        status = outcome.status
        message: Any = None
        if status.code:
            status = as_k6_says(status.code, status.message, status.details)
        elif not call.params.discard_response_message:
            try:
                message = call.decode(outcome.message or b"")
            except DecodeError as error:
                status = Status(StatusCode.INTERNAL, f"{UNMARSHAL}proto: {error}")
        code = status.code
        if call.behind is None:
            call.series.ended(code, call.began, perf_counter())
        else:
            call.series.ended_behind(code, call.began, perf_counter(), call.behind)
        if self.log.is_on():
            self.log.unary(self.address, call, outcome, status)
        if code:
            return self._failure(call, outcome, status)
        trailers = outcome.trailers
        return Response(message, None, grouped(outcome.headers), grouped(trailers) if trailers else {}, 0, self.metrics)

    def _failure(self, call: PreparedCall, outcome: UnaryOutcome, status: Status) -> Response:
        """The response of a call that did not end with OK."""
        message: Any = None
        if not call.params.discard_response_message:
            message = call.decode(b"")
        trailers = grouped(outcome.trailers)
        if outcome.status.details is not None:
            trailers.setdefault("grpc-status-details-bin", [outcome.status.details])
        return Response(message, self.error(status), grouped(outcome.headers), trailers, status.code, self.metrics)

    @staticmethod
    def status(code: int) -> StatusName:
        """A code as a script sees it."""
        return StatusName(code)

    def error(self, status: Status) -> CallError:
        """A status as a script sees it; without a message, the code's name stands in."""
        details = [] if status.details is None else self.read_details(status.details)["details"]
        return CallError(status.code, status.message or str(StatusName(status.code)), details)

    def read_details(self, serialized: bytes) -> dict[str, Any]:
        """The google.rpc.Status that came with a call, with the types that the client knows."""
        return read_status(serialized, self.codec)

    # -- types that the schema may turn out to lack: what is run to find out which, None if there can be none

    def reading_of(
        self, method: BoundMethod, received: bytes | UnaryOutcome, *, as_dict: bool = True
    ) -> Callable[[], object] | None:
        """What reads a message or an end as a script sees it; ``as_dict``: it sees messages, and as dicts."""
        if not isinstance(received, bytes):
            details = received.status.details
            if details is not None:
                return partial(self.read_details, details)
            received = received.message or b""
        if received and as_dict and self.codec.may_hold_any(method.descriptor.output_type):
            return partial(method.decode, received)
        return None

    def reading_of_call(self, call: PreparedCall, outcome: UnaryOutcome) -> Callable[[], object] | None:
        """The same for a unary call."""
        as_dict = call.decode is call.method.decode and not call.params.discard_response_message
        return self.reading_of(call.method, outcome, as_dict=as_dict)

    def writing_of(self, url: object, request: object) -> Callable[[], object] | None:
        """What writes a request; None too for one that is not valid anyway."""
        try:
            method = self.method(url)
        except (InvalidArgument, SchemaError):
            return None
        return partial(method.encode, request) if self.codec.may_hold_any(method.descriptor.input_type) else None
