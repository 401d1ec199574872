"""One queue in front of one model: dynamic batching that never waits while the model is free.

An idle model starts on whatever is queued, be it one image; while it runs, the next batch grows.
There is no timer to tune.  Pure asyncio: neither Ray nor HTTP is known here.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import numpy as np

from digits.errors import Abandoned, DeadlineExceeded, Overloaded
from digits.task import Images, Probabilities

Predict = Callable[[Images], Awaitable[Probabilities]]
IsAbandoned = Callable[[], bool]
CountWait = Callable[[float], None]
# To ask whether a caller is still there costs a microsecond or two: worth it for those who waited so long.
ASK_AFTER_S = 0.05


@dataclass(slots=True, eq=False)
class _Item:
    images: Images
    answer: asyncio.Future[Probabilities]
    queued_at: float  # by the event loop's clock, which is monotonic: a clock step must not stall a batch
    is_abandoned: IsAbandoned | None

    def fail(self, error: Exception) -> None:
        if not self.answer.done():
            self.answer.set_exception(error)


class Batcher:
    """Use from one event loop only.

    `count_wait` is told of each batch how many seconds its images had waited, all of them together.
    """

    def __init__(
        self,
        predict: Predict,
        *,
        max_batch_size: int,
        max_queued_images: int,
        timeout_s: float,
        count_wait: CountWait = lambda seconds: None,
    ) -> None:
        self._predict = predict
        self._max_batch_size = max_batch_size
        self._max_queued_images = max_queued_images
        self._timeout_s = timeout_s
        self._count_wait = count_wait
        self._waiting: deque[_Item] = deque()
        self.queued_images = 0
        self._worker: asyncio.Task[None] | None = None
        self._running_since: float | None = None

    def running_s(self) -> float:
        """Since when the batch that runs has been running, 0 if none does."""
        return asyncio.get_running_loop().time() - self._running_since if self._running_since else 0.0

    async def submit(self, images: Images, is_abandoned: IsAbandoned | None = None) -> Probabilities:
        """Probabilities of `images`, row by row.

        More images than fit one batch are spread over several.  A caller that is cancelled takes its
        images out of the queue, and so does one that is abandoned by whoever asked it: `is_abandoned`
        is called right before the images would go to the model, if they had to wait.  Raises Overloaded
        at once when the queue is full, DeadlineExceeded when the images waited longer than `timeout_s`,
        Abandoned, and what the model raised.
        """
        if self.queued_images + len(images) > self._max_queued_images:
            raise Overloaded(
                f"{self.queued_images} images are waiting and at most {self._max_queued_images} may"
            )
        if len(images) <= self._max_batch_size:
            return await self._enqueue(images, is_abandoned)
        parts = range(0, len(images), self._max_batch_size)
        answers = [
            self._enqueue(images[start : start + self._max_batch_size], is_abandoned) for start in parts
        ]
        return np.concatenate(await asyncio.gather(*answers))

    def _enqueue(self, images: Images, is_abandoned: IsAbandoned | None) -> asyncio.Future[Probabilities]:
        loop = asyncio.get_running_loop()
        item = _Item(images, loop.create_future(), loop.time(), is_abandoned)
        self._waiting.append(item)
        self.queued_images += len(images)
        if self._worker is None:
            # A task starts after the callbacks that are ready now: requests that arrived together
            # are all queued before the first batch is taken.
            self._worker = loop.create_task(self._drain())
        return item.answer

    async def _drain(self) -> None:
        try:
            while self._waiting:
                if batch := self._take():
                    self._running_since = asyncio.get_running_loop().time()
                    await self._run(batch)
                    self._running_since = None
        finally:
            self._worker = self._running_since = None

    def _take(self) -> list[_Item]:
        """The longest run of waiting items that fits a batch, less those nobody waits for any more."""
        now = asyncio.get_running_loop().time()
        batch: list[_Item] = []
        room, all_waited_s = self._max_batch_size, 0.0
        while self._waiting and len(self._waiting[0].images) <= room:
            item = self._waiting.popleft()
            self.queued_images -= len(item.images)
            if item.answer.done():
                continue
            waited_s = now - item.queued_at
            if waited_s > self._timeout_s:
                item.fail(DeadlineExceeded(f"not answered within {self._timeout_s:g} s"))
                continue
            if waited_s > ASK_AFTER_S and item.is_abandoned and item.is_abandoned():
                item.fail(Abandoned("its sender has gone"))
                continue
            batch.append(item)
            room -= len(item.images)
            all_waited_s += waited_s * len(item.images)
        if batch:
            self._count_wait(all_waited_s)
        return batch

    async def _run(self, batch: list[_Item]) -> None:
        """Answer every item.  If the model fails on a batch, each item gets its own try alone."""
        try:
            probabilities = await self._predict(_joined(batch))
            if len(probabilities) != sum(len(item.images) for item in batch):
                raise RuntimeError("the model answered another number of images than it was given")
        except Exception as error:
            if len(batch) == 1:
                batch[0].fail(error)
                return
            for item in batch:
                await self._run([item])
            return
        start = 0
        for item in batch:
            end = start + len(item.images)
            if not item.answer.done():
                item.answer.set_result(probabilities[start:end])
            start = end


def _joined(batch: list[_Item]) -> Images:
    return batch[0].images if len(batch) == 1 else np.concatenate([item.images for item in batch])
