"""The public exceptions as values: they travel between processes."""

from __future__ import annotations

import copy
import pickle

import pytest

from puregrpc import errors
from puregrpc.client.results.wording import failed_call
from puregrpc.errors import Error
from puregrpc.wire.status import Status

MADE = [
    errors.CompileError(["a.proto:1:2: what"]),
    errors.ConnectError("refused"),
    errors.DecodeError("message.a", "truncated"),
    errors.EncodeError("request.a", "int32 expected"),
    errors.InvalidArgument("no"),
    errors.LocalProtocolError("no"),
    errors.NotConnected("no"),
    errors.RemoteProtocolError("no", 7),
    errors.RpcError(5, "nope", details_bin=b"x", headers=[("a", "b")], trailers=[("c-bin", b"d")]),
    errors.SchemaError("no"),
    failed_call(Status(5, "nope")),
]


@pytest.mark.parametrize("error", MADE, ids=lambda error: type(error).__name__)
def test_errors_are_pickled_and_copied(error: Error) -> None:
    for made in (pickle.loads(pickle.dumps(error)), copy.copy(error), copy.deepcopy(error)):
        assert type(made) is type(error)
        assert str(made) == str(error)
        assert vars(made) == vars(error)


def test_every_public_error_is_tried() -> None:
    assert {type(error).__name__ for error in MADE} == set(errors.__all__) - {
        "Error",
        "UserError",
        "NamedInt",
        "StatusCode",
    }
