"""The trio-native client: channels, the four call shapes, interceptors, name resolution, reconnecting."""

from __future__ import annotations

from typing import TYPE_CHECKING

from puregrpc._on_demand import on_demand

if TYPE_CHECKING:
    from puregrpc.channel.blocking import BlockingChannel as BlockingChannel
    from puregrpc.channel.blocking_call import BlockingCall as BlockingCall
    from puregrpc.channel.blocking_interceptors import BlockingInterceptor as BlockingInterceptor
    from puregrpc.channel.blocking_methods import BlockingMethod as BlockingMethod
    from puregrpc.channel.call import ClientCall as ClientCall
    from puregrpc.channel.channel import Channel as Channel
    from puregrpc.channel.channel import open_channel as open_channel
    from puregrpc.channel.connectivity import ConnectivityState as ConnectivityState
    from puregrpc.channel.details import CallCredentials as CallCredentials
    from puregrpc.channel.details import CallDetails as CallDetails
    from puregrpc.channel.details import MetadataLike as MetadataLike
    from puregrpc.channel.interceptors import Interceptor as Interceptor
    from puregrpc.channel.methods import StreamStreamMethod as StreamStreamMethod
    from puregrpc.channel.methods import StreamUnaryMethod as StreamUnaryMethod
    from puregrpc.channel.methods import UnaryStreamMethod as UnaryStreamMethod
    from puregrpc.channel.methods import UnaryUnaryMethod as UnaryUnaryMethod
    from puregrpc.channel.outcome import UnaryResult as UnaryResult
    from puregrpc.channel.retry import RetryPolicy as RetryPolicy
    from puregrpc.channel.snapshot import ChannelSnapshot as ChannelSnapshot
    from puregrpc.channel.snapshot import SessionSnapshot as SessionSnapshot
    from puregrpc.channel.snapshot import SubchannelSnapshot as SubchannelSnapshot

_MODULES = {
    "BlockingCall": "blocking_call",
    "BlockingChannel": "blocking",
    "BlockingInterceptor": "blocking_interceptors",
    "BlockingMethod": "blocking_methods",
    "CallCredentials": "details",
    "CallDetails": "details",
    "Channel": "channel",
    "ChannelSnapshot": "snapshot",
    "ClientCall": "call",
    "ConnectivityState": "connectivity",
    "Interceptor": "interceptors",
    "MetadataLike": "details",
    "RetryPolicy": "retry",
    "SessionSnapshot": "snapshot",
    "StreamStreamMethod": "methods",
    "StreamUnaryMethod": "methods",
    "SubchannelSnapshot": "snapshot",
    "UnaryResult": "outcome",
    "UnaryStreamMethod": "methods",
    "UnaryUnaryMethod": "methods",
    "open_channel": "channel",
}

__all__ = [*_MODULES]

__getattr__, __dir__ = on_demand(__name__, _MODULES)
