"""The pace of the threads that read pictures: how much longer than expected they take at present."""

import math

# Seconds over which the pace is averaged: soon enough for the first second of an overload.
OVER_S = 0.5
# The most that one job counts: a machine that was paused for a minute does not work a thousand times slower.
MOST = 16.0


class Pace:
    """Seconds that a thread takes for one second of expected work.

    It is above 1 when threads wait for a core or for the interpreter.
    """

    def __init__(self) -> None:
        # Of the last OVER_S: seconds that the threads were busy, and expected seconds of what they did.
        self._spent_s, self._done_s = OVER_S, OVER_S

    @property
    def value(self) -> float:
        return self._spent_s / self._done_s

    def learn(self, spent_s: float, expected_s: float) -> None:
        """Counts work of `expected_s` that kept threads busy for `spent_s`."""
        spent_s = min(spent_s, MOST * expected_s)
        left = math.exp(-spent_s / OVER_S)
        self._spent_s, self._done_s = self._spent_s * left + spent_s, self._done_s * left + expected_s
