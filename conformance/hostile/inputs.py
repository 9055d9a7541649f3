"""Input that others write, in families that grow: sources, descriptors, messages, captures, texts.

Each family is made in three sizes, each four times the one before. What it costs may grow with the power 1.2 of the
size, by processor time and by allocated memory, above a margin that says that it is worth a look. The garbage
collector's share is left out of the growth: what it walks over is all that the program holds, again each time that a
quarter more has come, and that takes more for each octet of what is held as there is more of it.
"""

from __future__ import annotations

import gc
import math
import time
import tracemalloc
from collections.abc import Callable

from tests.inputs import INPUTS
from tests.proto.families import FAMILIES, Sources
from tests.proto.further_families import FURTHER
from tests.proto.more_families import MORE
from tests.proto.test_growth import compile_all

SIZES = (8_000, 32_000, 128_000)
MOST_GROWTH = 1.2
LITTLE_TIME, LITTLE_MEMORY = 0.1, 4 << 20
"""What the largest may take at any growth."""
MOST_TIME = 10e-6
"""Seconds of an octet."""
MOST_MEMORY = 1024
"""Octets of one: a range of four octets has options of its own, as in protoc's descriptors, and that takes 650."""
SHORT = 24
"""Of so many families one is run, in short form."""

Work = Callable[[], object]


def of_sources(make: Callable[[int], Sources]) -> Callable[[int], Work]:
    def work(size: int) -> Work:
        sources = make(size)
        return lambda: compile_all(sources)

    return work


def families() -> dict[str, Callable[[int], Work]]:
    """All of them, by name."""
    sources = FAMILIES | MORE | FURTHER
    compiling = {f"sources: {name.replace('_', ' ')}": of_sources(make) for name, make in sources.items()}
    return {**compiling, **INPUTS}


class Collecting:
    """The processor time that the garbage collector takes."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self._began = 0.0

    def __call__(self, phase: str, _info: dict[str, int]) -> None:
        if phase == "start":
            self._began = time.process_time()
        else:
            self.seconds += time.process_time() - self._began


def seconds(work: Work) -> tuple[float, float]:
    """The processor time of the quickest of some runs, and that without the garbage collector's share."""
    least = (math.inf, math.inf)
    collecting = Collecting()
    gc.callbacks.append(collecting)
    try:
        for _ in range(3):
            gc.collect()
            collecting.seconds, begin = 0.0, time.process_time()
            work()
            whole = time.process_time() - begin
            least = min(least, (whole, whole - collecting.seconds))
            if whole > 0.5:
                break
    finally:
        gc.callbacks.remove(collecting)
    return least


def allocated(work: Work) -> int:
    """The most that is allocated at once."""
    gc.collect()
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def growth(small: float, large: float, factor: float) -> float:
    """By which power of the size something grows."""
    return math.log(max(large, 1e-4) / max(small, 1e-4)) / math.log(factor)


def judge(make: Callable[[int], Work], sizes: tuple[int, ...]) -> tuple[str, list[str]]:
    """The row of a family, and what is not sound about it."""
    faults = []
    works = [make(size) for size in sizes]
    works[0]()  # what is made once
    times = [seconds(work) for work in works]
    held = [allocated(work) for work in works[-2:]]
    factor = sizes[-1] / sizes[-2]
    time_growth, memory_growth = growth(times[-2][1], times[-1][1], factor), growth(held[0], held[1], factor)
    whole = times[-1][0]
    if whole > LITTLE_TIME and (time_growth > MOST_GROWTH or whole > MOST_TIME * sizes[-1]):
        faults.append("processor time")
    if held[-1] > LITTLE_MEMORY and (memory_growth > MOST_GROWTH or held[-1] > MOST_MEMORY * sizes[-1]):
        faults.append("memory")
    row = f"{whole:.3f} | {time_growth:.2f} | {held[-1] / (1 << 20):.1f} | {memory_growth:.2f}"
    return row, faults


def run(*, is_short: bool, names: list[str]) -> int:
    """Run it all; gives how many families are not ok."""
    sizes = SIZES[:2] if is_short else SIZES
    print(
        f"| input of {sizes[-1] // 1000} KB | processor s | growth, not collecting | memory MiB | growth | verdict |",
        flush=True,
    )
    print("|---|--:|--:|--:|--:|---|", flush=True)
    bad = 0
    for number, (name, make) in enumerate(families().items()):
        if (names and name not in names) or (is_short and not names and number % SHORT):
            continue
        try:
            row, faults = judge(make, sizes)
            if faults:  # others may have kept the machine busy
                row, faults = judge(make, sizes)
        except Exception as error:
            row, faults = " | | | ", [f"{type(error).__name__}: {error}"]
        bad += bool(faults)
        print(f"| {name} | {row} | {', '.join(faults) or 'ok'} |", flush=True)
    return bad
