"""Floods: frames that cost the receiver more than the sender, without end. Each sends about a megabyte."""

from __future__ import annotations

from puregrpc.fuzz.frames.floods import control, header_blocks, messages, streams, to_clients
from puregrpc.fuzz.frames.probe import Probe

__all__ = ["FLOODS"]

FLOODS: tuple[Probe, ...] = (
    *control.FLOODS, *header_blocks.FLOODS, *streams.FLOODS, *messages.FLOODS, *to_clients.FLOODS,
)  # fmt: skip
