"""Message objects of google.protobuf among the values that are encoded.

Their methods are called through the class: a field may have the name of a method, and then hides it.
"""

from __future__ import annotations

from google.protobuf.message import EncodeError as ProtobufEncodeError
from google.protobuf.message import Message

from puregrpc.codec.faults import Fault

__all__ = ["full_name_of", "serialized"]


def full_name_of(message: Message) -> str:
    """The full name of a message's type."""
    name: str = type(message).DESCRIPTOR.full_name
    return name


def serialized(message: Message, full_name: str) -> bytes:
    """The bytes of a message, which should be of the type ``full_name``. Raises Fault if it is not, or incomplete."""
    if full_name_of(message) != full_name:
        raise Fault(f"{full_name} expected, not a {full_name_of(message)}")
    try:
        return bytes(type(message).SerializeToString(message))
    except ProtobufEncodeError as error:
        raise Fault(str(error)) from None
