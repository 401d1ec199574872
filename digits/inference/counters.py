"""What a replica's batches were, in plain counts: cheap enough for every batch, handed over once a second.

A histogram of Ray takes several microseconds for each value; a request has two hundred in all.
"""

from bisect import bisect_left

from digits.task import Probabilities

BATCH_SIZES = (1, 2, 4, 8, 16, 32, 64, 1024)  # upper bounds; the last is the largest max_batch_size
CONFIDENCES = (0.5, 0.9, 0.99, 1.0)  # upper bounds
LAST = len(CONFIDENCES) - 1  # a sum of float32 may be a little more than 1
SECONDS = "seconds"  # that the model ran


class Tally:
    """Counts since the replica began.  One batch at a time is added, by whichever thread ran it."""

    def __init__(self) -> None:
        # Every key from the start: another thread may copy them at any time.
        self.batches: dict[int | str, float] = dict.fromkeys((*BATCH_SIZES, SECONDS), 0.0)
        self.digits = dict.fromkeys(range(10), 0)
        self.confidences = dict.fromkeys(CONFIDENCES, 0)
        self.waited_s = 0.0

    def add_wait(self, seconds: float) -> None:
        """Seconds that the images of a batch had waited, all of them together; told on the event loop."""
        self.waited_s += seconds

    def add(self, seconds: float, probabilities: Probabilities) -> None:
        """A batch that took the model so long, and its (n, 10) answers; health checks are among them."""
        rows = probabilities.tolist()  # of a few rows, plain floats are faster than numpy
        self.batches[BATCH_SIZES[bisect_left(BATCH_SIZES, len(rows))]] += 1
        self.batches[SECONDS] += seconds
        for row in rows:
            confidence = max(row)
            self.digits[row.index(confidence)] += 1
            self.confidences[CONFIDENCES[min(bisect_left(CONFIDENCES, confidence), LAST)]] += 1
