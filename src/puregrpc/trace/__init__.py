"""The wire made visible: a recorded connection explained octet by octet, and forms to read the explanation in.

`Recorder` keeps what a connection sends and receives; `explain` makes an `Explanation` of it, a tree of frozen
records in which every octet has a place, a meaning and the rule that it serves.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from puregrpc._on_demand import on_demand

if TYPE_CHECKING:
    from puregrpc.trace.explaining.explainer import Explainer as Explainer
    from puregrpc.trace.explaining.explainer import explain as explain
    from puregrpc.trace.recording import Chunk as Chunk
    from puregrpc.trace.recording import Direction as Direction
    from puregrpc.trace.recording import Recorder as Recorder
    from puregrpc.trace.recording import Recording as Recording
    from puregrpc.trace.records import Explanation as Explanation
    from puregrpc.trace.records import Field as Field
    from puregrpc.trace.records import Frame as Frame
    from puregrpc.trace.records import HeaderBlock as HeaderBlock
    from puregrpc.trace.records import HeaderField as HeaderField
    from puregrpc.trace.records import Message as Message
    from puregrpc.trace.records import Part as Part
    from puregrpc.trace.records import Span as Span
    from puregrpc.trace.records import Stretch as Stretch

_MODULES = {
    "Chunk": "recording",
    "Direction": "recording",
    "Explainer": "explaining.explainer",
    "Explanation": "records",
    "Field": "records",
    "Frame": "records",
    "HeaderBlock": "records",
    "HeaderField": "records",
    "Message": "records",
    "Part": "records",
    "Recorder": "recording",
    "Recording": "recording",
    "Span": "records",
    "Stretch": "records",
    "explain": "explaining.explainer",
}

__all__ = [*_MODULES]

__getattr__, __dir__ = on_demand(__name__, _MODULES)
