"""Many pictures at once: NumPy, OpenCV and Pillow leave Python's lock for most of what a picture takes."""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

# Two threads on two cores are 1.8 times as fast as one.  A photo takes 150 MB while it is made.
MOST_THREADS = 4
# Results for each thread that are ready before they are asked for: small pictures that the others make during
# one photo of 24 megapixels.
WAITING = 64

Item = TypeVar("Item")
Result = TypeVar("Result")


def in_threads(function: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
    """Yields the function's result for each item, in their order; an exception is raised at its item.

    `items` is read a little ahead, in the thread that asks for the results.
    """
    threads = min(MOST_THREADS, os.cpu_count() or 1)
    waiting: deque[Future[Result]] = deque()
    pool = ThreadPoolExecutor(threads, thread_name_prefix="pictures")
    try:
        for item in items:
            waiting.append(pool.submit(function, item))
            if len(waiting) > WAITING * threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:  # also if no more results are asked for
        pool.shutdown(cancel_futures=True)
