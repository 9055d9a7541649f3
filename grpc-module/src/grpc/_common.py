"""Kept under the names that grpcio has for them: what dependants and generated code take from its inside."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from typing import Any

__all__ = ["checked", "decode", "deserialize", "encode", "fully_qualified_method", "iterator_of", "serialize"]

logger = logging.getLogger("grpc._common")


def encode(s: str | bytes) -> bytes:
    """Text as UTF-8."""
    return s if isinstance(s, bytes) else s.encode()


def decode(b: str | bytes) -> str:
    """UTF-8 as text."""
    return b.decode("utf-8", "replace") if isinstance(b, bytes) else b


def serialize(message: Any, serializer: Callable[[Any], bytes] | None) -> Any:
    """The bytes of a message; None if the serializer fails."""
    return _transformed(message, serializer, "Exception serializing message!")


def deserialize(serialized_message: bytes, deserializer: Callable[[bytes], Any] | None, failed: object = None) -> Any:
    """The message in bytes; ``failed`` if the deserializer fails."""
    return _transformed(serialized_message, deserializer, "Exception deserializing message!", failed)


def _transformed(value: Any, transform: Callable[[Any], Any] | None, problem: str, failed: object = None) -> Any:
    if transform is None:
        return value
    try:
        return transform(value)
    except Exception:
        logger.exception(problem)
        return failed


def checked(data: Any) -> bytes:
    """What a serializer gave, or what was given without one. Raises TypeError if it is no bytes."""
    if not isinstance(data, bytes):
        raise TypeError(f"a message is bytes, not {type(data).__name__}: the serializer makes bytes of it")
    return data


def iterator_of(values: Any) -> Iterator[Any]:
    """Of what is given to be sent: grpcio takes what has ``__next__`` alone. Raises TypeError for what has neither."""
    return values if hasattr(values, "__next__") else iter(values)


def __getattr__(name: str) -> Any:
    """The tables between codes and what grpcio's core has for them."""
    if name not in ("CYGRPC_STATUS_CODE_TO_STATUS_CODE", "STATUS_CODE_TO_CYGRPC_STATUS_CODE"):
        raise AttributeError(f"module 'grpc._common' has no attribute {name!r}")
    from grpc._codes import StatusCode
    from grpc._cython import cygrpc

    pairs = [(cygrpc.StatusCode(code.value[0]), code) for code in StatusCode]
    return dict(pairs) if name.startswith("CYGRPC") else {code: number for number, code in pairs}


def fully_qualified_method(group: str, method: str) -> str:
    """The path of a method."""
    return f"/{group}/{method}"
