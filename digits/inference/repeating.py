"""A step that is repeated for as long as the replica lives."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import NoReturn


async def repeat(
    step: Callable[[], Awaitable[object]], period_s: float, log: logging.Logger, failure: str
) -> NoReturn:
    """Awaits `step` after each period, for ever.

    An exception is logged with the text `failure`: it would end the task, and asyncio reports that only when
    the task is collected.
    """
    while True:
        await asyncio.sleep(period_s)
        try:
            await step()
        except Exception:
            log.exception("%s", failure)
