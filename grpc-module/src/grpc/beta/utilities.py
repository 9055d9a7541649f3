"""What helps with channels of the old interface."""

from __future__ import annotations

import grpc
from grpc.beta._client import LaterResult
from grpc.beta.implementations import Channel
from grpc.framework.foundation import future

__all__ = ["channel_ready_future"]


def channel_ready_future(channel: Channel) -> future.Future:
    """A future that is done once the channel is ready."""
    return LaterResult(grpc.channel_ready_future(channel._channel))
