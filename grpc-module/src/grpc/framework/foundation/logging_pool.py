"""A pool of threads that logs what its work raises."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from concurrent import futures
from typing import Any

__all__ = ["pool"]

logger = logging.getLogger("grpc")


def _logged(behavior: Callable[..., Any]) -> Callable[..., Any]:
    def run(*args: Any, **kwargs: Any) -> Any:
        try:
            return behavior(*args, **kwargs)
        except Exception:
            logger.exception("Unexpected exception from %s executed in logging pool!", behavior)
            raise

    return run


class _LoggingPool:
    """An executor around another."""

    def __init__(self, backing_pool: futures.ThreadPoolExecutor) -> None:
        self._backing_pool = backing_pool

    def __enter__(self) -> _LoggingPool:
        return self

    def __exit__(self, exc_type: Any, exc_val: Any, exc_tb: Any) -> None:
        self._backing_pool.shutdown(wait=True)

    def submit(self, fn: Callable[..., Any], *args: Any, **kwargs: Any) -> futures.Future[Any]:
        """Have a function called."""
        return self._backing_pool.submit(_logged(fn), *args, **kwargs)

    def map(self, func: Callable[..., Any], *iterables: Iterable[Any], **kwargs: Any) -> Iterator[Any]:
        """What a function gives for each of the arguments."""
        return self._backing_pool.map(_logged(func), *iterables, timeout=kwargs.get("timeout"))

    def shutdown(self, wait: bool = True) -> None:
        """Take no more work."""
        self._backing_pool.shutdown(wait=wait)


def pool(max_workers: int) -> _LoggingPool:
    """A pool of so many threads."""
    return _LoggingPool(futures.ThreadPoolExecutor(max_workers))
