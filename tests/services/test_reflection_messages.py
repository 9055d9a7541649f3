"""The messages of reflection, written by hand, held against the codec."""

from __future__ import annotations

from base64 import b64decode
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from puregrpc.errors import DecodeError, InvalidArgument
from puregrpc.services.contracts import codec, contract
from puregrpc.services.reflection import messages
from puregrpc.services.reflection.messages import Answer, decode_answer, extension_question, question

FILE = "grpc/reflection/v1/reflection.proto"
REQUEST, RESPONSE = (
    next(message for message in contract(FILE).messages if message.name == f"ServerReflection{name}")
    for name in ("Request", "Response")
)
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=200)
INT32 = st.integers(-(1 << 31), (1 << 31) - 1)
ANSWERS = st.fixed_dictionaries(
    {"validHost": TEXT},
    optional={"originalRequest": st.just({"host": "h", "fileContainingSymbol": "a.B"})},
).flatmap(
    lambda common: st.one_of(
        st.just({}),
        st.builds(lambda files: {"fileDescriptorResponse": {"fileDescriptorProto": files}}, st.lists(st.just("AAEC"))),
        st.builds(lambda found: {"allExtensionNumbersResponse": {"extensionNumber": found}}, st.lists(INT32)),
        st.builds(
            lambda names: {"listServicesResponse": {"service": [{"name": name} for name in names]}}, st.lists(TEXT)
        ),
        st.builds(lambda code, text: {"errorResponse": {"errorCode": code, "errorMessage": text}}, INT32, TEXT),
    ).map(lambda answer: {**common, **answer})
)


def as_codec_has_it(value: dict[str, Any]) -> Answer:
    if (files := value.get("fileDescriptorResponse")) is not None:
        return Answer(messages.FILES, files=tuple(map(b64decode, files["fileDescriptorProto"])))
    if (numbers := value.get("allExtensionNumbersResponse")) is not None:
        return Answer(messages.EXTENSION_NUMBERS, extension_numbers=tuple(numbers["extensionNumber"]))
    if (services := value.get("listServicesResponse")) is not None:
        return Answer(messages.SERVICES, services=tuple(service["name"] for service in services["service"]))
    if (error := value.get("errorResponse")) is not None:
        return Answer(messages.ERROR, error_code=error["errorCode"], error_message=error["errorMessage"])
    return Answer()


@given(st.lists(ANSWERS, min_size=1, max_size=3))
def test_answers(values: list[dict[str, Any]]) -> None:
    """Several in a row are one message: of the oneof the last counts, and what is of one member merges."""
    data = b"".join(codec(FILE).encode(RESPONSE, value) for value in values)
    assert decode_answer(data) == as_codec_has_it(codec(FILE).decode(RESPONSE, data))


@given(st.binary(max_size=60) | st.lists(st.sampled_from([0x22, 0x2A, 0x32, 0x3A, 0x0A, 1, 2, 0x80])).map(bytes))
def test_hostile_answers(data: bytes) -> None:
    try:
        expected = as_codec_has_it(codec(FILE).decode(RESPONSE, data))
    except DecodeError:
        try:  # what nobody reads may be broken
            decode_answer(data)
        except DecodeError:
            return
    else:
        assert decode_answer(data) == expected


@given(TEXT, INT32)
def test_questions(text: str, number: int) -> None:
    def decoded(data: bytes) -> object:
        return {name: value for name, value in codec(FILE).decode(REQUEST, data).items() if name != "host"}

    assert decoded(question(messages.FILE_BY_FILENAME, text)) == {"fileByFilename": text}
    assert decoded(question(messages.FILE_CONTAINING_SYMBOL, text)) == {"fileContainingSymbol": text}
    assert decoded(question(messages.NUMBERS_OF_TYPE, text)) == {"allExtensionNumbersOfType": text}
    assert decoded(question(messages.LIST_SERVICES, text)) == {"listServices": text}
    extension = {"containingType": text, "extensionNumber": number}
    assert decoded(extension_question(text, number)) == {"fileContainingExtension": extension}


def test_a_name_that_is_none() -> None:
    with pytest.raises(InvalidArgument, match="lone surrogate"):
        question(messages.FILE_CONTAINING_SYMBOL, "\ud800")
