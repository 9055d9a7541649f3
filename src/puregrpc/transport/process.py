"""Which process this is; see `puregrpc.kernel.process`."""

from puregrpc.kernel.process import THIS_PROCESS

__all__ = ["THIS_PROCESS"]
