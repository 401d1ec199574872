"""Whether a client is still connected, asked without waiting."""

import asyncio

import numpy as np
from starlette.types import Message

from digits.errors import Abandoned
from digits.http.disconnect import Disconnect
from digits.inference.batcher import ASK_AFTER_S, Batcher
from digits.task import CLASSES, SHAPE, Images, Scores


async def broken() -> Message:
    raise RuntimeError("the proxy has died")


async def gone() -> Message:
    return {"type": "http.disconnect"}


async def test_a_client_is_gone_after_its_message_or_an_error() -> None:
    silent: asyncio.Queue[Message] = asyncio.Queue()
    assert not Disconnect(silent.get)()
    assert Disconnect(gone)()
    assert Disconnect(broken)()


async def test_a_dead_proxy_leaves_no_other_request_unanswered() -> None:
    """The whole batch was lost, and its callers waited for ever."""
    may_run = asyncio.Event()

    async def predict(images: Images) -> Scores:
        await may_run.wait()
        return np.zeros((len(images), CLASSES))

    batcher = Batcher(predict, max_batch_size=8, max_queued_images=100, timeout_s=60)
    image = np.zeros((1, *SHAPE), np.uint8)
    asked = [asyncio.ensure_future(batcher.submit(image))]
    await asyncio.sleep(0)
    asked += [
        asyncio.ensure_future(batcher.submit(image, receive)) for receive in (None, Disconnect(broken), None)
    ]
    await asyncio.sleep(1.5 * ASK_AFTER_S)
    may_run.set()
    async with asyncio.timeout(20):
        answers = await asyncio.gather(*asked, return_exceptions=True)
    assert [isinstance(answer, Abandoned) for answer in answers] == [False, False, True, False]
    assert batcher.queued_images == 0
