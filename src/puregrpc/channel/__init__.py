"""The client: channels on asyncio, trio and threads, the call shapes, interceptors, resolution, reconnecting."""

from __future__ import annotations

from typing import TYPE_CHECKING

from puregrpc._on_demand import on_demand

if TYPE_CHECKING:
    from puregrpc.channel.backends.channel_trace import ChannelTrace as ChannelTrace
    from puregrpc.channel.backends.channel_trace import TraceEvent as TraceEvent
    from puregrpc.channel.backends.connectivity import ConnectivityState as ConnectivityState
    from puregrpc.channel.blocking.call import BlockingCall as BlockingCall
    from puregrpc.channel.blocking.call import OpeningBlockingCall as OpeningBlockingCall
    from puregrpc.channel.blocking.channel import BlockingChannel as BlockingChannel
    from puregrpc.channel.blocking.interceptors import BlockingInterceptor as BlockingInterceptor
    from puregrpc.channel.blocking.methods import BlockingStreamStreamMethod as BlockingStreamStreamMethod
    from puregrpc.channel.blocking.methods import BlockingStreamUnaryMethod as BlockingStreamUnaryMethod
    from puregrpc.channel.blocking.methods import BlockingUnaryStreamMethod as BlockingUnaryStreamMethod
    from puregrpc.channel.blocking.methods import BlockingUnaryUnaryMethod as BlockingUnaryUnaryMethod
    from puregrpc.channel.blocking.started import BlockingExchange as BlockingExchange
    from puregrpc.channel.calls.call import ClientCall as ClientCall
    from puregrpc.channel.calls.interceptors import Interceptor as Interceptor
    from puregrpc.channel.calls.methods import OpeningCall as OpeningCall
    from puregrpc.channel.calls.methods import StreamStreamMethod as StreamStreamMethod
    from puregrpc.channel.calls.methods import StreamUnaryMethod as StreamUnaryMethod
    from puregrpc.channel.calls.methods import UnaryStreamMethod as UnaryStreamMethod
    from puregrpc.channel.calls.methods import UnaryUnaryMethod as UnaryUnaryMethod
    from puregrpc.channel.calls.outcome import UnaryResult as UnaryResult
    from puregrpc.channel.calls.started import StartedExchange as StartedExchange
    from puregrpc.channel.channel import Channel as Channel
    from puregrpc.channel.channel import open_channel as open_channel
    from puregrpc.channel.details import CallCredentials as CallCredentials
    from puregrpc.channel.details import CallDetails as CallDetails
    from puregrpc.channel.details import MetadataLike as MetadataLike
    from puregrpc.channel.options import ChannelKeywords as ChannelKeywords
    from puregrpc.channel.service_config.config import MethodConfig as MethodConfig
    from puregrpc.channel.service_config.config import ServiceConfig as ServiceConfig
    from puregrpc.channel.service_config.policies import HedgingPolicy as HedgingPolicy
    from puregrpc.channel.service_config.policies import RetryPolicy as RetryPolicy
    from puregrpc.channel.service_config.policies import RetryThrottling as RetryThrottling
    from puregrpc.channel.service_config.reading import parse_service_config as parse_service_config
    from puregrpc.channel.snapshot import CallNumbers as CallNumbers
    from puregrpc.channel.snapshot import ChannelSnapshot as ChannelSnapshot
    from puregrpc.channel.snapshot import SessionSnapshot as SessionSnapshot
    from puregrpc.channel.snapshot import SubchannelSnapshot as SubchannelSnapshot

_MODULES = {
    "BlockingCall": "blocking.call",
    "BlockingChannel": "blocking.channel",
    "BlockingExchange": "blocking.started",
    "BlockingInterceptor": "blocking.interceptors",
    "BlockingStreamStreamMethod": "blocking.methods",
    "BlockingStreamUnaryMethod": "blocking.methods",
    "BlockingUnaryStreamMethod": "blocking.methods",
    "BlockingUnaryUnaryMethod": "blocking.methods",
    "CallCredentials": "details",
    "CallDetails": "details",
    "CallNumbers": "snapshot",
    "Channel": "channel",
    "ChannelKeywords": "options",
    "ChannelSnapshot": "snapshot",
    "ChannelTrace": "backends.channel_trace",
    "ClientCall": "calls.call",
    "ConnectivityState": "backends.connectivity",
    "HedgingPolicy": "service_config.policies",
    "Interceptor": "calls.interceptors",
    "MetadataLike": "details",
    "MethodConfig": "service_config.config",
    "OpeningBlockingCall": "blocking.call",
    "OpeningCall": "calls.methods",
    "RetryPolicy": "service_config.policies",
    "RetryThrottling": "service_config.policies",
    "ServiceConfig": "service_config.config",
    "SessionSnapshot": "snapshot",
    "StartedExchange": "calls.started",
    "StreamStreamMethod": "calls.methods",
    "StreamUnaryMethod": "calls.methods",
    "SubchannelSnapshot": "snapshot",
    "TraceEvent": "backends.channel_trace",
    "UnaryResult": "calls.outcome",
    "UnaryStreamMethod": "calls.methods",
    "UnaryUnaryMethod": "calls.methods",
    "open_channel": "channel",
    "parse_service_config": "service_config.reading",
}

__all__ = [*_MODULES]

__getattr__, __dir__ = on_demand(__name__, _MODULES)
