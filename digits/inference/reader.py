"""Reads pictures in threads, admitted by the seconds of work that wait.

Decoding a photo takes a thousand times as long as decoding a 28x28 PNG, so a count of requests says nothing
about how long they will take.  What pictures of a kind and size have cost is learned while they are read.
"""

import asyncio
import math
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np

from digits.errors import Abandoned, BadInput, DeadlineExceeded, Overloaded
from digits.task import Pixels
from digits.vision.decoding import weigh
from digits.vision.mnist import are_surely_mnist_like
from digits.vision.reading import Candidates, exactly, read_file, read_levels

Item = bytes | Pixels | BadInput  # an image file, (SIDE, SIDE) grey levels, or why it is neither
Read = Candidates | BadInput
IsAbandoned = Callable[[], bool]

# Work this short is done on the event loop: a hop to a thread and back would cost more.
ON_LOOP_S = 0.0005
# Requests up to this long do not wait behind longer ones.
SHORT_S = 0.004
# A first guess until something of the kind has been read: seconds for each pixel, and for any picture.
FIRST_S_PER_PIXEL, FIRST_S = 20e-9, 0.0002
LEARNING_RATE = 0.2


class Costs:
    """CPU seconds that reading a picture takes, by its kind and the power of two of its pixels."""

    def __init__(self) -> None:
        self._seconds: dict[tuple[str, int], float] = {}

    def expected_s(self, item: Item) -> float:
        if isinstance(item, bytes):
            kind, pixels = weigh(item)
            return self._seconds.get((kind, pixels.bit_length()), FIRST_S + FIRST_S_PER_PIXEL * pixels)
        return FIRST_S if isinstance(item, BadInput) else self._seconds.get(("levels", 0), FIRST_S)

    def learn(self, item: Item, seconds: float) -> None:
        if isinstance(item, BadInput):
            return
        kind, pixels = weigh(item) if isinstance(item, bytes) else ("levels", 0)
        key = kind, pixels.bit_length()
        known = self._seconds.get(key, seconds)
        self._seconds[key] = known + LEARNING_RATE * (seconds - known)


@dataclass(slots=True, eq=False)
class _Job:
    items: Sequence[Item]
    max_pixels: int
    expected_s: float
    deadline: float  # by the event loop's clock
    is_abandoned: IsAbandoned | None
    done: asyncio.Future[list[Read]]


@dataclass(slots=True)
class _Line:
    """Jobs that wait, and the seconds of work already spent on their kind."""

    jobs: deque[_Job] = field(default_factory=deque)
    spent_s: float = 0.0


class Reader:
    """Use from one event loop only."""

    def __init__(self, threads: int) -> None:
        self.threads = threads
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="reader")
        self._costs = Costs()
        self._short, self._long = _Line(), _Line()
        self._busy = 0
        self.work_s = 0.0  # expected seconds of all jobs that wait or run
        self.refused_s = 0.0  # expected seconds of all requests that were refused so far
        self._busy_s, self._busy_until = 0.0, 0.0

    async def read(
        self,
        items: Sequence[Item],
        *,
        max_pixels: int,
        max_work_s: float,
        deadline: float,
        is_abandoned: IsAbandoned | None = None,
    ) -> list[Read]:
        """The candidates of each item, or why it cannot be read.

        Raises Overloaded at once if the work that waits exceeds `max_work_s` for each thread, and, before
        the job begins, DeadlineExceeded past `deadline` (event loop's clock) and Abandoned.
        """
        expected_s = sum(map(self._costs.expected_s, items))
        if expected_s <= ON_LOOP_S:
            return self._run(items, max_pixels)
        waiting_s = self.work_s / self.threads
        if self.work_s and waiting_s + expected_s / self.threads > max_work_s:
            self.refused_s += expected_s
            raise Overloaded(
                f"Pictures that wait need {waiting_s:.1f} s of decoding, and {max_work_s:g} s may wait; "
                f"retry in {max(1, math.ceil(waiting_s))} s",
                max(1, math.ceil(waiting_s)),
            )
        job = _Job(
            items, max_pixels, expected_s, deadline, is_abandoned, asyncio.get_running_loop().create_future()
        )
        line = self._short if expected_s <= SHORT_S else self._long
        if not line.jobs:  # an idle kind saves nothing up for later
            line.spent_s = max(line.spent_s, min(self._short.spent_s, self._long.spent_s))
        line.jobs.append(job)
        self.work_s += expected_s
        self._start()
        return await job.done

    @property
    def busy_s(self) -> float:
        """Seconds that threads have been busy, summed over the threads."""
        self._change_busy(0)
        return self._busy_s

    def _change_busy(self, threads: int) -> None:
        now = time.monotonic()
        self._busy_s += self._busy * (now - self._busy_until)
        self._busy += threads
        self._busy_until = now

    def _start(self) -> None:
        loop = asyncio.get_running_loop()
        while self._busy < self.threads and (job := self._next()):
            self._change_busy(1)
            running = loop.run_in_executor(self._pool, self._run, job.items, job.max_pixels)
            running.add_done_callback(lambda ended, job=job: self._finish(job, ended))  # type: ignore[misc]

    def _finish(self, job: _Job, ended: asyncio.Future[list[Read]]) -> None:
        self._change_busy(-1)
        self.work_s = max(0.0, self.work_s - job.expected_s)
        if not job.done.done():
            if error := ended.exception():
                job.done.set_exception(error)
            else:
                job.done.set_result(ended.result())
        self._start()

    def _next(self) -> _Job | None:
        """The next job that someone still waits for.

        Short and long jobs get the same share of the threads: neither kind waits for all of the other.
        """
        now = asyncio.get_running_loop().time()
        while lines := [line for line in (self._short, self._long) if line.jobs]:
            line = min(lines, key=lambda line: line.spent_s)
            job = line.jobs.popleft()
            if job.done.done():
                pass  # its caller was cancelled
            elif now > job.deadline:
                job.done.set_exception(
                    DeadlineExceeded("The request waited too long to be read; retry later")
                )
            elif job.is_abandoned and job.is_abandoned():
                job.done.set_exception(Abandoned("the client has disconnected"))
            else:
                line.spent_s += job.expected_s
                return job
            self.work_s = max(0.0, self.work_s - job.expected_s)
        self.work_s = self.work_s if self._busy else 0.0  # rounding errors end here
        return None

    def _run(self, items: Sequence[Item], max_pixels: int) -> list[Read]:
        """In a thread, or on the loop; a bad item costs its neighbours nothing."""
        ready = _mnist_like(items)
        found: list[Read] = []
        for place, item in enumerate(items):
            if place in ready:
                found.append(ready[place])
                continue
            # CPU time: on a busy machine a small picture may wait longer for a core than it takes to read.
            began = time.thread_time()
            found.append(_read(item, max_pixels))
            self._costs.learn(item, time.thread_time() - began)
        return found


def _mnist_like(items: Sequence[Item]) -> dict[int, Candidates]:
    """The candidates of grey levels that are like MNIST's, by their place: a check of all at once."""
    places = [place for place, item in enumerate(items) if isinstance(item, np.ndarray)]
    if not places:
        return {}
    levels = np.array([items[place] for place in places])
    surely = are_surely_mnist_like(levels).tolist()
    return {
        place: exactly(image)
        for place, image, is_ready in zip(places, levels, surely, strict=True)
        if is_ready
    }


def _read(item: Item, max_pixels: int) -> Read:
    if isinstance(item, BadInput):
        return item
    try:
        return read_file(item, max_pixels) if isinstance(item, bytes) else read_levels(item)
    except BadInput as error:
        return error
