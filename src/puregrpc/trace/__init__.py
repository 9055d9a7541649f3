"""The wire made visible: a recorded connection explained octet by octet, and forms to read the explanation in.

`Recorder` keeps what a connection sends and receives; `explain` makes an `Explanation` of it, a tree of frozen
records in which every octet has a place, a meaning and the rule that it serves.
"""

from __future__ import annotations

from puregrpc.trace.explaining.explainer import Explainer, explain
from puregrpc.trace.recording import Chunk, Direction, Recorder, Recording
from puregrpc.trace.records import Explanation, Field, Frame, HeaderBlock, HeaderField, Message, Part, Span, Stretch

__all__ = [
    "Chunk",
    "Direction",
    "Explainer",
    "Explanation",
    "Field",
    "Frame",
    "HeaderBlock",
    "HeaderField",
    "Message",
    "Part",
    "Recorder",
    "Recording",
    "Span",
    "Stretch",
    "explain",
]
