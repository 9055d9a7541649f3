"""`grpc.aio` under the name that it had at first."""

from __future__ import annotations

from grpc.aio import *  # noqa: F403
