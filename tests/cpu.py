"""Bounds on the CPU time of what anyone can send."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

RUNS = 5


def within_cpu_s(most: float, work: Callable[[], T]) -> T:
    """Returns what `work` returns. Fails if each of five runs takes more CPU time.

    One quick run is enough: a busy machine slows single runs down, and none makes a slow one quick. The bound
    lies far from both: several times what the work takes, and a fraction of what it takes without its cure.
    """
    times = []
    for _ in range(RUNS):
        began = time.process_time()
        result = work()
        times.append(time.process_time() - began)
        if times[-1] < most:
            return result
    raise AssertionError(f"{min(times):.3f} s of CPU time; at most {most:g} s are allowed")
