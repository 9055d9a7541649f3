"""gRPC for Python without native code."""

from puregrpc._version import __version__ as __version__
