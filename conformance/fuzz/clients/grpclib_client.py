"""One unary call of raw bytes on grpclib: ``python conformance/fuzz/clients/grpclib_client.py ADDRESS``."""

import asyncio
import sys

from grpclib.client import Channel, UnaryUnaryMethod
from grpclib.encoding.base import CodecBase
from grpclib.exceptions import GRPCError, StreamTerminatedError


class Raw(CodecBase):  # type: ignore[misc, unused-ignore]  # grpclib may not be there
    """Bytes as they are."""

    __content_subtype__ = "proto"

    def encode(self, message: bytes, message_type: type) -> bytes:
        """What is sent."""
        return message

    def decode(self, data: bytes, message_type: type) -> bytes:
        """What came."""
        return data


async def main() -> None:
    """Make the call."""
    host, _, port = sys.argv[1].rpartition(":")
    channel = Channel(host, int(port), codec=Raw())
    try:
        await UnaryUnaryMethod(channel, "/echo.Echo/Call", bytes, bytes)(b"abc", timeout=5)
    finally:
        channel.close()


try:
    asyncio.run(main())
except (GRPCError, StreamTerminatedError, asyncio.TimeoutError, OSError) as error:
    raise SystemExit(f"{error!r}") from None
