"""The program that protobuf's conformance_test_runner tests: requests on stdin, answers on stdout.

Each is a conformance.ConformanceRequest or ConformanceResponse behind its length, four bytes with the lowest first.
Started by ``run.py`` with the path of a FileDescriptorSet that has conformance.proto and the test messages.
"""

from __future__ import annotations

import struct
import sys
from pathlib import Path
from typing import Any, BinaryIO

from puregrpc.codec import Codec
from puregrpc.errors import DecodeError, EncodeError, SchemaError
from puregrpc.schema import Registry, load_protoset


class Testee:
    """Answers requests with the codec."""

    def __init__(self, protoset: Path) -> None:
        registry = Registry()
        load_protoset(registry, protoset)
        self.registry = registry
        self.wire = Codec(registry, values="native", emit_defaults=False, unknown_fields="keep", well_known_types=False)
        self.json = Codec(registry, emit_defaults=False)
        self.json_ignoring = Codec(registry, emit_defaults=False, ignore_unknown_names=True)
        self.request = registry.message("conformance.ConformanceRequest")
        self.response = registry.message("conformance.ConformanceResponse")

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        """The response to one request, both as dicts."""
        output = request.get("requestedOutputFormat")
        if output not in ("PROTOBUF", "JSON") or not {"protobufPayload", "jsonPayload"} & request.keys():
            return {"skipped": "only binary and JSON"}
        try:
            descriptor = self.registry.message(request.get("messageType", ""))
        except SchemaError as error:
            return {"skipped": str(error)}
        ignoring = request.get("testCategory") == "JSON_IGNORE_UNKNOWN_PARSING_TEST"
        try:
            if "jsonPayload" in request:
                codec = self.json_ignoring if ignoring else self.json
                data = codec.from_json(descriptor, request["jsonPayload"])
            else:
                data = request["protobufPayload"]
            message = self.wire.decode(descriptor, data)
        except DecodeError as error:
            return {"parseError": str(error)}
        try:
            if output == "PROTOBUF":
                return {"protobufPayload": self.wire.encode(descriptor, message)}
            return {"jsonPayload": self.json.to_json(descriptor, data)}
        except (DecodeError, EncodeError) as error:
            return {"serializeError": str(error)}

    def serve(self, requests: BinaryIO, responses: BinaryIO) -> None:
        """Answer until the requests end."""
        decode = self.wire.decoder(self.request)
        encode = self.wire.encoder(self.response)
        while head := requests.read(4):
            (length,) = struct.unpack("<I", head)
            response = encode(self.answer(decode(requests.read(length))))
            responses.write(struct.pack("<I", len(response)) + response)
            responses.flush()


if __name__ == "__main__":
    Testee(Path(sys.argv[1])).serve(sys.stdin.buffer, sys.stdout.buffer)
