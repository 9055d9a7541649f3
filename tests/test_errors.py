"""The public exceptions as values: they travel between processes."""

from __future__ import annotations

import copy
import json
import pickle

import pytest

from puregrpc import errors
from puregrpc.client.results.constants import StatusName
from puregrpc.client.results.wording import failed_call
from puregrpc.errors import Error, NamedInt, StatusCode
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


@pytest.mark.parametrize(
    ("code", "name"),
    [
        (StatusCode.NOT_FOUND, "NOT_FOUND"),
        (StatusCode(77), "CODE_77"),
        (StatusName(5), "NotFound"),
        (StatusName(77), "Code(77)"),
    ],
)
def test_codes_print_as_their_names_and_are_numbers(code: NamedInt, name: str) -> None:
    number = 77 if "77" in name else 5
    assert [str(code), f"{code}", f"{code:>12}"] == [name, name, name.rjust(12)]
    assert [f"{code:d}", f"{code:03d}", json.dumps([code])] == [str(number), f"{number:03d}", f"[{number}]"]
    assert code == number
    assert hash(code) == hash(number)
    assert pickle.loads(pickle.dumps(code)) == copy.deepcopy(code) == number


def test_the_code_of_an_rpc_error() -> None:
    error = errors.RpcError(5, "gone")
    assert error.code is StatusCode.NOT_FOUND
    assert (str(error), error.details, error.details_bin) == ("NOT_FOUND: gone", None, None)
    assert errors.RpcError(StatusName.NotFound).code is StatusName.NotFound
    assert str(errors.RpcError(77)) == "CODE_77"
    with pytest.raises(errors.InvalidArgument, match=r"a number such as StatusCode\.NOT_FOUND, not 'NOT_FOUND'"):
        errors.RpcError("NOT_FOUND")  # type: ignore[arg-type]
