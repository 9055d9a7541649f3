"""Message classes and stubs from .proto files at run time."""

from __future__ import annotations

from types import ModuleType
from typing import Any

__all__ = ["protos", "protos_and_services", "services"]

NEEDED = (
    "Install the grpcio-tools package (1.32.0+) to use the {name} function: it has protoc; or use puregrpc.protos, "
    "which needs no native code"
)


def _tools(name: str) -> Any:
    try:
        from grpc_tools import protoc
    except ImportError as error:
        raise NotImplementedError(NEEDED.format(name=name)) from error
    return protoc


def protos(protobuf_path: str) -> ModuleType:
    """The module of a .proto file's messages, made by grpcio-tools."""
    return _tools("protos")._protos(protobuf_path)  # type: ignore[no-any-return]


def services(protobuf_path: str) -> ModuleType:
    """The module of a .proto file's stubs and servicers, made by grpcio-tools."""
    return _tools("services")._services(protobuf_path)  # type: ignore[no-any-return]


def protos_and_services(protobuf_path: str) -> tuple[ModuleType, ModuleType]:
    """Both modules of a .proto file, made by grpcio-tools."""
    return _tools("protos_and_services")._protos_and_services(protobuf_path)  # type: ignore[no-any-return]
