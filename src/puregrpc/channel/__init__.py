"""The trio-native client: channels, the four call shapes, interceptors, name resolution, reconnecting."""

from puregrpc.channel.blocking import BlockingChannel, BlockingMethod
from puregrpc.channel.blocking_call import BlockingCall
from puregrpc.channel.call import ClientCall, UnaryResult
from puregrpc.channel.channel import Channel, open_channel
from puregrpc.channel.connectivity import ConnectivityState
from puregrpc.channel.details import CallCredentials, CallDetails, MetadataLike
from puregrpc.channel.interceptors import Interceptor
from puregrpc.channel.methods import StreamStreamMethod, StreamUnaryMethod, UnaryStreamMethod, UnaryUnaryMethod
from puregrpc.channel.retry import RetryPolicy
from puregrpc.channel.snapshot import ChannelSnapshot, SessionSnapshot, SubchannelSnapshot

__all__ = [
    "BlockingCall",
    "BlockingChannel",
    "BlockingMethod",
    "CallCredentials",
    "CallDetails",
    "Channel",
    "ChannelSnapshot",
    "ClientCall",
    "ConnectivityState",
    "Interceptor",
    "MetadataLike",
    "RetryPolicy",
    "SessionSnapshot",
    "StreamStreamMethod",
    "StreamUnaryMethod",
    "SubchannelSnapshot",
    "UnaryResult",
    "UnaryStreamMethod",
    "UnaryUnaryMethod",
    "open_channel",
]
