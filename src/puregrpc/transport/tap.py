"""Hearing what a connection sends and receives; see `puregrpc.kernel.tap`."""

from puregrpc.kernel.tap import Tap

__all__ = ["Tap"]
