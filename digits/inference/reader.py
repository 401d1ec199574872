"""Reads pictures in threads, admitted by the seconds of work that wait.

Decoding a photo takes a thousand times as long as decoding a 28x28 PNG, so the number of requests says
nothing about their duration. The cost of each kind and size is learned from the pictures that are read.
"""

import asyncio
import math
import time
from collections import deque
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial

from digits.errors import Abandoned, BadInput, DeadlineExceeded, Overloaded
from digits.inference.batcher import IsAbandoned
from digits.inference.costs import Costs, Kind, kinds_of
from digits.inference.items import Item, Read, read_item, read_ready
from digits.inference.pace import Pace

_Result = list[Read] | Exception  # of a job

# Work this short is done on the event loop: a hop to a thread and back would cost more.
ON_LOOP_S = 0.0005
# From this pace on, the threads get so little of the interpreter that work on the loop would starve them.
STARVED = 4.0
# Requests up to this long do not wait behind longer ones.
SHORT_S = 0.004
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
    """Waiting and running jobs of one kind, and the seconds of work already spent on that kind."""

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
        self._pace, self._finished_at = Pace(), 0.0

    async def read(
        self,
        items: Sequence[Item],
        *,
        max_pixels: int,
        max_work_s: float,
        deadline: float,
        is_abandoned: IsAbandoned | None = None,
    ) -> list[Read]:
        """Returns for each item its candidates or its error.

        Raises Overloaded at once if each thread would need more than `max_work_s` for the waiting work at its
        present pace. Before the job begins it may raise DeadlineExceeded (after `deadline`, the event loop's
        clock) or Abandoned.
        """
        kinds = await kinds_of(items, max_pixels)
        expected_s = sum(map(self._costs.expected_s, kinds))
        if expected_s <= ON_LOOP_S and self._pace.value < STARVED:
            return self._read_all(items, kinds, max_pixels)
        line = self._short if expected_s <= SHORT_S else self._long
        waiting_s = self._seconds_of(line, 0.0)
        if line.count and self._seconds_of(line, expected_s) > max_work_s:
            self.refused_s += expected_s
            raise Overloaded(
                f"The queue is full: decoding its pictures takes {waiting_s:.1f} s, the limit is "
                f"{max_work_s:g} s; retry in {max(1, math.ceil(waiting_s))} s",
                max(1, math.ceil(waiting_s)),
            )
        done: asyncio.Future[list[Read]] = asyncio.get_running_loop().create_future()
        job = _Job(items, kinds, max_pixels, expected_s, line, deadline, is_abandoned, done)
        if not line.count:  # work done before the kind was idle must not count
            other = self._long if line is self._short else self._short
            line.spent_s = max(line.spent_s, other.spent_s) if other.count else other.spent_s
        line.add(job)
        self._start()
        return await done

    def _seconds_of(self, line: _Line, more_s: float) -> float:
        """Returns the seconds until a line's work plus `more_s` is done: both lines share the threads."""
        lines = sum(1 for each in (self._short, self._long) if each is line or each.count)
        return (line.work_s + more_s) / self.threads * lines * self._pace.value

    @property
    def busy_s(self) -> float:
        """Seconds that threads have been busy, summed over all threads."""
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
            # Not the loop's clock: uvloop counts whole milliseconds.
            finish = partial(self._finish, jobs, time.perf_counter())
            running.add_done_callback(finish)

    def _finish(self, jobs: list[_Job], handed_at: float, ended: asyncio.Future[list[_Result]]) -> None:
        self._learn_pace(handed_at, sum(job.expected_s for job in jobs))
        self._change_busy(-1)
        for job, result in zip(jobs, ended.result(), strict=True):
            job.line.end(job)
            if job.done.done():
                continue
            if isinstance(result, Exception):
                job.done.set_exception(result)
            else:
                job.done.set_result(result)
        self._start()

    def _learn_pace(self, handed_at: float, expected_s: float) -> None:
        """Updates the pace: since the last job ended, each busy thread has done its part of the work."""
        now = time.perf_counter()
        spent_s = (now - max(handed_at, self._finished_at)) * min(self._busy, self.threads)
        self._finished_at = now
        self._pace.learn(spent_s, expected_s)

    def _next(self, only_short: bool) -> list[_Job]:
        """Returns the next jobs with a waiting caller: a long one, or short ones of TOGETHER_S in total.

        Short and long jobs get the same share of the threads, so neither kind waits for all of the other. The
        list is empty if there are no jobs, or if it is a long job's turn and `only_short`.
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
        """Returns whether a caller still waits for the job; callers past their deadline get an error."""
        if job.done.done():
            return False  # its caller was cancelled
        if asyncio.get_running_loop().time() > job.deadline:
            job.done.set_exception(DeadlineExceeded("The request waited too long to be read; retry later"))
        elif job.is_abandoned and job.is_abandoned():
            job.done.set_exception(Abandoned("the client has disconnected"))
        return not job.done.done()

    def _run(self, jobs: list[_Job]) -> list[_Result]:
        """Runs jobs in a thread; an unexpected error of one does not affect the others."""
        return [self._result_of(job) for job in jobs]

    def _result_of(self, job: _Job) -> _Result:
        try:
            return self._read_all(job.items, job.kinds, job.max_pixels)
        except Exception as error:
            return error

    def _read_all(self, items: Sequence[Item], kinds: Sequence[Kind], max_pixels: int) -> list[Read]:
        """Reads items, in a thread or on the loop; an invalid item does not affect the others."""
        ready = read_ready(items)
        found: list[Read] = []
        for place, item in enumerate(items):
            if place in ready:
                found.append(ready[place])
                continue
            began = time.thread_time()  # not the time that it waits for a core of a busy machine
            found.append(read_item(item, max_pixels))
            is_whole = found[-1] is item or not isinstance(found[-1], BadInput)
            self._costs.learn(kinds[place], time.thread_time() - began, is_whole)
        return found
