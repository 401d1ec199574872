"""The clock of the event loop, moved by a test, so that no deadline depends on how busy the machine is."""

import asyncio

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
