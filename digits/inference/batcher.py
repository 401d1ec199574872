"""One queue in front of one model: dynamic batching that never waits while the model is idle.

An idle model starts at once on everything queued, even a single image; while it runs, the next batch grows.
There is no timer to tune. Pure asyncio, without Ray and HTTP.
"""

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from digits.errors import Abandoned, DeadlineExceeded, Overloaded
from digits.task import Images, Scores

Predict = Callable[[Images], Awaitable[Scores]]
IsAbandoned = Callable[[], bool]
# Asking whether a caller is still connected takes 1 to 2 us: worth it only for those that waited this long.
ASK_AFTER_S = 0.05


class Answer(NamedTuple):
    """The results for the images of one `submit`."""

    scores: Scores  # a row for each image, in their order
    queue_s: float  # from `submit` to the start of the batch
    model_s: float  # from the start of the batch to its results
    batch_size: int  # images in the batch, of all callers


class BatchCount(NamedTuple):
    """What is counted of one batch."""

    images: int
    queue_s: float  # summed over the images
    model_s: float


OnBatch = Callable[[BatchCount], None]


@dataclass(slots=True, eq=False)
class _Item:
    images: Images
    answer: asyncio.Future[Answer]
    queued_at: float  # by time.perf_counter(): uvloop's clock counts whole milliseconds
    deadline: float  # by the event loop's clock; both are monotonic: a clock step must not stall a batch
    is_abandoned: IsAbandoned | None

    def fail(self, error: Exception) -> None:
        if not self.answer.done():
            self.answer.set_exception(error)


class Batcher:
    """Use from one event loop only.  `on_batch` is called after each batch, on that loop."""

    def __init__(
        self,
        predict: Predict,
        *,
        max_batch_size: int,
        max_queued_images: int,
        timeout_s: float,
        on_batch: OnBatch = lambda batch: None,
    ) -> None:
        self._predict = predict
        self._max_batch_size = max_batch_size
        self._max_queued_images = max_queued_images
        self._timeout_s = timeout_s
        self._on_batch = on_batch
        self._waiting: deque[_Item] = deque()
        self.queued_images = 0
        self._worker: asyncio.Task[None] | None = None
        self._running_since: float | None = None

    def running_s(self) -> float:
        """Seconds that the current batch has been running; 0 when idle."""
        return time.perf_counter() - self._running_since if self._running_since else 0.0

    async def submit(
        self, images: Images, is_abandoned: IsAbandoned | None = None, deadline: float | None = None
    ) -> Answer:
        """Returns the model's results for `images`.

        Images that do not fit one batch are spread over several; the times and the size are then the largest.
        If the caller is cancelled, its images leave the queue. `is_abandoned` is called right before images
        that had to wait go to the model. Raises Overloaded at once when the queue is full, DeadlineExceeded
        when the images would start after `deadline` (the event loop's clock; `timeout_s` from now if None),
        Abandoned, and what the model raised.
        """
        if self.queued_images + len(images) > self._max_queued_images:
            raise Overloaded(
                f"The queue is full: {self.queued_images} images wait, this request adds {len(images)}, the "
                f"limit is {self._max_queued_images}; retry in 1 s, or send fewer images"
            )
        if len(images) <= self._max_batch_size:
            return await self._enqueue(images, is_abandoned, deadline)
        parts = await asyncio.gather(
            *(
                self._enqueue(images[start : start + self._max_batch_size], is_abandoned, deadline)
                for start in range(0, len(images), self._max_batch_size)
            )
        )
        rows, queue_s, model_s, sizes = zip(*parts, strict=True)
        return Answer(np.concatenate(rows), max(queue_s), max(model_s), max(sizes))

    def _enqueue(
        self, images: Images, is_abandoned: IsAbandoned | None, deadline: float | None
    ) -> asyncio.Future[Answer]:
        loop = asyncio.get_running_loop()
        deadline = deadline or loop.time() + self._timeout_s
        item = _Item(images, loop.create_future(), time.perf_counter(), deadline, is_abandoned)
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
                    await self._run(batch)
        finally:
            self._worker = self._running_since = None

    def _take(self) -> list[_Item]:
        """Returns the longest run of items that fits a batch; drops items without a waiting caller."""
        on_loop, now = asyncio.get_running_loop().time(), time.perf_counter()
        batch: list[_Item] = []
        room = self._max_batch_size
        while self._waiting and len(self._waiting[0].images) <= room:
            item = self._waiting.popleft()
            self.queued_images -= len(item.images)
            if item.answer.done():
                continue
            waited_s = now - item.queued_at
            if on_loop > item.deadline:
                item.fail(
                    DeadlineExceeded(
                        f"The request waited longer than {self._timeout_s:g} s for the model; retry later"
                    )
                )
                continue
            if waited_s > ASK_AFTER_S and item.is_abandoned and item.is_abandoned():
                item.fail(Abandoned("the client has disconnected"))
                continue
            batch.append(item)
            room -= len(item.images)
        return batch

    async def _run(self, batch: list[_Item]) -> None:
        """Answers every item. If the model fails on a batch, each item is retried alone."""
        self._running_since = began = time.perf_counter()
        images = sum(len(item.images) for item in batch)
        try:
            scores = await self._predict(_joined(batch))
            if len(scores) != images:
                raise RuntimeError(f"the model returned {len(scores)} rows for {images} images")
        except Exception as error:
            if len(batch) == 1:
                batch[0].fail(error)
                return
            for item in batch:
                await self._run([item])
            return
        finally:
            self._running_since = None
        model_s = time.perf_counter() - began
        self._on_batch(
            BatchCount(images, sum((began - item.queued_at) * len(item.images) for item in batch), model_s)
        )
        start = 0
        for item in batch:
            end = start + len(item.images)
            if not item.answer.done():
                item.answer.set_result(Answer(scores[start:end], began - item.queued_at, model_s, images))
            start = end


def _joined(batch: list[_Item]) -> Images:
    return batch[0].images if len(batch) == 1 else np.concatenate([item.images for item in batch])
