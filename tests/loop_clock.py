"""The clocks of deadlines and durations, moved by a test: nothing depends on how busy the machine is."""

import asyncio
import time

import pytest


class LoopClock:
    """Stands still unless `now` is changed. No timer of the loop fires, so a test waits by `turns`."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        loop = asyncio.get_running_loop()
        self.now = loop.time()
        monkeypatch.setattr(loop, "time", lambda: self.now)

    @staticmethod
    async def turns() -> None:
        """Lets everything run that waits for no timer and no thread."""
        for _ in range(10):
            await asyncio.sleep(0)


class PerfCounter:
    """The clock by which durations are measured; it stands still unless `now` is changed."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = time.perf_counter()
        monkeypatch.setattr(time, "perf_counter", lambda: self.now)
