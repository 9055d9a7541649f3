"""Channelz (gRFC A14): what the channels, servers and connections of a process do, for those who ask a server."""

from __future__ import annotations

from typing import TYPE_CHECKING

from puregrpc._on_demand import on_demand

if TYPE_CHECKING:
    from puregrpc.services.channelz.data import Channelz as Channelz
    from puregrpc.services.channelz.server import ChannelzService as ChannelzService

_MODULES = {"Channelz": "data", "ChannelzService": "server"}

__all__ = [*_MODULES]

__getattr__, __dir__ = on_demand(__name__, _MODULES)
