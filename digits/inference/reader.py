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
from functools import partial

import numpy as np

from digits.errors import Abandoned, BadInput, DeadlineExceeded, Overloaded
from digits.inference.costs import Costs, Item, Kind, kind_of
from digits.vision.mnist import are_surely_mnist_like
from digits.vision.reading import Candidates, exactly, read_file, read_levels

Read = Candidates | BadInput
IsAbandoned = Callable[[], bool]

# Work this short is done on the event loop: a hop to a thread and back would cost more.
ON_LOOP_S = 0.0005
# From this pace on, the threads get so little of the interpreter that work on the loop would starve them.
STARVED = 4.0
# Requests up to this long do not wait behind longer ones.
SHORT_S = 0.004
# Seconds over which the pace is averaged: soon enough for the first second of an overload.
PACE_OVER_S = 0.5
# A busy event loop notices late that a thread has ended its work.  So it gets short jobs of this many
# expected seconds together, and the next ones before it is free.
TOGETHER_S, AHEAD = 0.01, 1


@dataclass(slots=True, eq=False)
class _Job:
    items: Sequence[Item]
    kinds: Sequence[Kind]
    max_pixels: int
    expected_s: float
    line: "_Line"
    deadline: float  # by the event loop's clock
    is_abandoned: IsAbandoned | None
    done: asyncio.Future[list[Read]]


@dataclass(slots=True)
class _Line:
    """Jobs of a kind that wait or run, and the seconds of work already spent on the kind."""

    jobs: deque[_Job] = field(default_factory=deque)  # that wait
    work_s: float = 0.0  # expected seconds of the jobs that wait or run
    spent_s: float = 0.0
    count: int = 0  # jobs that wait or run

    def add(self, job: "_Job") -> None:
        self.jobs.append(job)
        self.work_s += job.expected_s
        self.count += 1

    def end(self, job: "_Job") -> None:
        self.count -= 1
        self.work_s = max(0.0, self.work_s - job.expected_s) if self.count else 0.0


class Reader:
    """Use from one event loop only."""

    def __init__(self, threads: int) -> None:
        self.threads = threads
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="reader")
        self._costs = Costs()
        self._short, self._long = _Line(), _Line()
        self._busy = 0
        self.refused_s = 0.0  # expected seconds of all requests that were refused so far
        self._busy_s, self._busy_until = 0.0, 0.0
        # Of the last PACE_OVER_S: seconds that the threads were busy, and expected seconds of what they did.
        self._spent_s, self._done_s, self._finished_at = PACE_OVER_S, PACE_OVER_S, 0.0

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

        Raises Overloaded at once if the work that waits will take each thread more than `max_work_s` at its
        present pace, and, before the job begins, DeadlineExceeded past `deadline` (event loop's clock) and
        Abandoned.
        """
        kinds = [kind_of(item) for item in items]
        expected_s = sum(map(self._costs.expected_s, kinds))
        if expected_s <= ON_LOOP_S and self.pace < STARVED:
            return self._read_all(items, kinds, max_pixels)
        line = self._short if expected_s <= SHORT_S else self._long
        waiting_s = self._seconds_of(line, 0.0)
        if line.count and self._seconds_of(line, expected_s) > max_work_s:
            self.refused_s += expected_s
            raise Overloaded(
                f"Pictures that wait take {waiting_s:.1f} s to decode, and {max_work_s:g} s may wait; "
                f"retry in {max(1, math.ceil(waiting_s))} s",
                max(1, math.ceil(waiting_s)),
            )
        done: asyncio.Future[list[Read]] = asyncio.get_running_loop().create_future()
        job = _Job(items, kinds, max_pixels, expected_s, line, deadline, is_abandoned, done)
        if not line.count:  # what a kind got before it was idle counts neither for it nor against it
            other = self._long if line is self._short else self._short
            line.spent_s = max(line.spent_s, other.spent_s) if other.count else other.spent_s
        line.add(job)
        self._start()
        return await done

    def _seconds_of(self, line: _Line, more_s: float) -> float:
        """The seconds until a line's work and `more_s` of it are done: both lines share the threads."""
        lines = sum(1 for each in (self._short, self._long) if each is line or each.count)
        return (line.work_s + more_s) / self.threads * lines * self.pace

    @property
    def busy_s(self) -> float:
        """Seconds that threads have been busy, summed over the threads."""
        self._change_busy(0)
        return self._busy_s

    def _change_busy(self, threads: int) -> None:
        now = time.monotonic()
        self._busy_s += min(self._busy, self.threads) * (now - self._busy_until)
        self._busy += threads
        self._busy_until = now

    def _start(self) -> None:
        loop = asyncio.get_running_loop()
        while self._busy < self.threads + AHEAD and (jobs := self._next(self._busy >= self.threads)):
            self._change_busy(1)
            running = loop.run_in_executor(self._pool, self._run, jobs)
            finish = partial(self._finish, jobs, loop.time())
            running.add_done_callback(finish)

    def _finish(self, jobs: list[_Job], handed_at: float, ended: asyncio.Future[list[list[Read]]]) -> None:
        self._learn_pace(handed_at, sum(job.expected_s for job in jobs))
        self._change_busy(-1)
        for job in jobs:
            job.line.end(job)
        if error := ended.exception():
            for job in jobs:
                if not job.done.done():
                    job.done.set_exception(error)
        else:
            for job, result in zip(jobs, ended.result(), strict=True):
                if not job.done.done():
                    job.done.set_result(result)
        self._start()

    @property
    def pace(self) -> float:
        """Seconds that a thread takes for one second of expected work.

        More than 1 where it waits for a core or for the interpreter.
        """
        return self._spent_s / self._done_s

    def _learn_pace(self, handed_at: float, expected_s: float) -> None:
        """Between two ends of work each busy thread has done its part of what ends now."""
        now = asyncio.get_running_loop().time()
        spent_s = (now - max(handed_at, self._finished_at)) * min(self._busy, self.threads)
        self._finished_at = now
        left = math.exp(-spent_s / PACE_OVER_S)
        self._spent_s, self._done_s = self._spent_s * left + spent_s, self._done_s * left + expected_s

    def _next(self, only_short: bool) -> list[_Job]:
        """The next jobs for a thread that someone still waits for: a long one, or short ones of TOGETHER_S.

        Short and long jobs get the same share of the threads: neither kind waits for all of the other.  Empty
        if there are none, or if it is a long one's turn and `only_short`.
        """
        lines = [line for line in (self._short, self._long) if line.jobs]
        jobs: list[_Job] = []
        seconds = 0.0
        while lines and not jobs:
            line = min(lines, key=lambda line: line.spent_s)
            if only_short and line is self._long:
                return []
            while line.jobs and (not jobs or (line is self._short and seconds < TOGETHER_S)):
                job = line.jobs.popleft()
                if self._is_wanted(job):
                    jobs.append(job)
                    seconds += job.expected_s
                else:
                    line.end(job)
            line.spent_s += seconds
            lines = [line for line in lines if line.jobs]
        return jobs

    def _is_wanted(self, job: _Job) -> bool:
        """Whether someone still waits for a job; says so to those who wait too long."""
        if job.done.done():
            return False  # its caller was cancelled
        if asyncio.get_running_loop().time() > job.deadline:
            job.done.set_exception(DeadlineExceeded("The request waited too long to be read; retry later"))
        elif job.is_abandoned and job.is_abandoned():
            job.done.set_exception(Abandoned("the client has disconnected"))
        return not job.done.done()

    def _run(self, jobs: list[_Job]) -> list[list[Read]]:
        """In a thread."""
        return [self._read_all(job.items, job.kinds, job.max_pixels) for job in jobs]

    def _read_all(self, items: Sequence[Item], kinds: Sequence[Kind], max_pixels: int) -> list[Read]:
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
            self._costs.learn(kinds[place], time.thread_time() - began)
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
