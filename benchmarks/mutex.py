"""What the mutex of threads costs, beside a plain lock: alone, and with threads that contend for it.

Usage: ``python -m benchmarks.mutex [--calls N]``. On free-threaded builds it is the one point where the threads of a
channel contend.
"""

from __future__ import annotations

import argparse
import threading
import time
from collections.abc import Callable

from benchmarks.measuring import versions
from puregrpc.kernel.threads.mutex import Mutex

ROUNDS = 5
THREADS = (1, 2, 4)


def work(number: int) -> int:
    """As little as is done with it held."""
    return number


def bare(calls: int) -> None:
    """The function alone."""
    for number in range(calls):
        work(number)


def locked(calls: int, mutex: Mutex) -> None:
    """With the mutex."""
    call = mutex.locked
    for number in range(calls):
        call(work, number)


def with_lock(calls: int, lock: threading.Lock) -> None:
    """With a plain lock, which an exception of a signal may leave held."""
    for number in range(calls):
        with lock:
            work(number)


def nanoseconds(function: Callable[[int], None], calls: int, threads: int) -> float:
    """What a call takes, in the fastest round: of the time of all threads together."""
    best = float("inf")
    for _ in range(ROUNDS):
        running = [threading.Thread(target=function, args=(calls // threads,)) for _ in range(threads)]
        begun = time.perf_counter()
        for thread in running:
            thread.start()
        for thread in running:
            thread.join()
        best = min(best, time.perf_counter() - begun)
    return best / calls * 1e9


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--calls", type=int, default=200_000, help="a round")
    calls = parser.parse_args().calls
    print(f"{versions()}\n\n| ns a call | " + " | ".join(f"{threads} threads" for threads in THREADS) + " |")
    print("|---" * (len(THREADS) + 1) + "|")
    mutex, lock = Mutex(), threading.Lock()
    rows: dict[str, Callable[[int], None]] = {
        "the function alone": bare,
        "with the mutex": lambda count: locked(count, mutex),
        "with a plain lock": lambda count: with_lock(count, lock),
    }
    for name, function in rows.items():
        figures = (nanoseconds(function, calls, threads) for threads in THREADS)
        print(f"| {name} | " + " | ".join(f"{figure:.0f}" for figure in figures) + " |")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
