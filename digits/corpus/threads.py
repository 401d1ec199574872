"""Many pictures at once: NumPy, OpenCV and Pillow leave Python's lock for most of what a picture takes."""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

# Two threads on two cores are 1.8 times as fast as one.  A photo takes 150 MB while it is made.
MOST_THREADS = 4
WAITING = 4  # results for each thread that are ready before they are asked for

Item = TypeVar("Item")
Result = TypeVar("Result")


def in_threads(
    function: Callable[[Item], Result], items: Iterable[Item], waiting: int = WAITING
) -> Iterator[Result]:
    """Yields the function's result for each item, in their order; an exception is raised at its item.

    `items` is read a little ahead, in the thread that asks for the results: `waiting` items for each thread.
    An item that takes as long as all of these stops the other threads, so choose more for small results.
    """
    threads = min(MOST_THREADS, os.cpu_count() or 1)
    ahead: deque[Future[Result]] = deque()
    pool = ThreadPoolExecutor(threads, thread_name_prefix="pictures")
    try:
        for item in items:
            ahead.append(pool.submit(function, item))
            if len(ahead) > waiting * threads:
                yield ahead.popleft().result()
        while ahead:
            yield ahead.popleft().result()
    finally:  # also if no more results are asked for
        pool.shutdown(cancel_futures=True)
