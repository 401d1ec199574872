"""What a replica does again and again, also after a failure."""

import asyncio
import logging

import pytest

from digits.inference.repeating import repeat


async def test_a_failed_step_is_logged_and_the_next_one_follows(caplog: pytest.LogCaptureFixture) -> None:
    """A task that ended by an exception would say nothing until the replica ends."""
    steps: list[int] = []

    async def step() -> None:
        steps.append(1)
        if len(steps) == 1:
            raise RuntimeError("a metric of that name exists")

    task = asyncio.ensure_future(repeat(step, 0.001, logging.getLogger("digits"), "reporting failed"))
    async with asyncio.timeout(10):
        while len(steps) < 3:
            await asyncio.sleep(0.001)
    assert [record.getMessage() for record in caplog.records] == ["reporting failed"]
    assert "a metric of that name exists" in caplog.text
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
