"""The order of an epoch, and which worker trains on which rows.

Seed, epoch and progress within the epoch determine everything. So each worker knows its share without
communication, and an interrupted epoch continues with the remaining rows on any number of workers.
"""

import heapq
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

# Rows that are shuffled together: the more, the rarer neighbours of a file are in the same batch.
MIXED = 16_384


class Stretch(NamedTuple):
    """A part of an epoch that was trained with the same workers."""

    workers: int
    steps: int  # of each worker
    rows: int  # rows that each worker has taken, or its whole share if that is less


class Window(NamedTuple):
    """Chunks whose rows are shuffled together, and how many of the rows are done."""

    chunks: tuple[int, ...]
    done: int
    rows: int  # that are left

    def order(self, seed: int, epoch: int) -> NDArray[np.int64]:
        """Returns the positions of the remaining rows among all rows of the chunks."""
        rng = np.random.default_rng([seed, epoch, *self.chunks])
        return rng.permutation(self.done + self.rows)[self.done :]


def shares(
    rows: Sequence[int], seed: int, epoch: int, done: Sequence[Stretch], workers: int
) -> list[list[Window]]:
    """Returns for each worker what remains of an epoch; `rows` has the number of rows of each chunk.

    The shares differ by at most the rows of the largest chunk, or of a window that was begun.
    """
    order = np.random.default_rng([seed, epoch]).permutation(len(rows)).tolist()
    remaining = [Window((chunk,), 0, rows[chunk]) for chunk in order]
    for stretch in done:
        per_worker = _shared(remaining, stretch.workers)
        remaining = [window for share in per_worker for window in _rest(share, stretch.rows, rows)]
    return _shared(remaining, workers)


def longest(workers: Sequence[Sequence[Window]]) -> int:
    """Returns the number of rows of the worker with the most rows."""
    return max(sum(window.rows for window in windows) for windows in workers)


def _shared(windows: Sequence[Window], workers: int) -> list[list[Window]]:
    """Gives each window, the largest first, to the worker with the fewest rows; then joins windows."""
    of_worker: list[list[int]] = [[] for _ in range(workers)]
    fewest = [(0, worker) for worker in range(workers)]
    for place in sorted(range(len(windows)), key=lambda place: -windows[place].rows):
        rows, worker = heapq.heappop(fewest)
        of_worker[worker].append(place)
        heapq.heappush(fewest, (rows + windows[place].rows, worker))
    return [list(_joined([windows[place] for place in sorted(places)])) for places in of_worker]


def _joined(windows: Sequence[Window]) -> Iterator[Window]:
    """Joins windows that were not begun, up to MIXED rows."""
    joined = Window((), 0, 0)
    for window in windows:
        if window.done:
            yield window
        elif joined.rows and joined.rows + window.rows > MIXED:
            yield joined
            joined = window
        else:
            joined = Window(joined.chunks + window.chunks, 0, joined.rows + window.rows)
    if joined.rows:
        yield joined


def _rest(windows: Sequence[Window], taken: int, rows: Sequence[int]) -> Iterator[Window]:
    """Yields what remains of a share after `taken` rows; chunks that were not begun stay separate."""
    for window in windows:
        if taken >= window.rows:
            taken -= window.rows
        elif taken or window.done:
            yield Window(window.chunks, window.done + taken, window.rows - taken)
            taken = 0
        else:
            yield from (Window((chunk,), 0, rows[chunk]) for chunk in window.chunks)
