"""The batcher alone, over a stand-in model that answers with the image's own first pixels."""

import asyncio
from collections.abc import Callable

import numpy as np
import pytest

from digits.errors import Abandoned, DeadlineExceeded, Overloaded
from digits.inference.batcher import ASK_AFTER_S, Answer, BatchCount, Batcher
from digits.task import Images, Scores
from tests.loop_clock import LoopClock, PerfCounter


class EchoModel:
    """Row i of the answer is the first ten pixels of image i.  Records batch sizes; waits on `gate`."""

    def __init__(self) -> None:
        self.batches: list[int] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.fails: Callable[[Images], bool] = lambda batch: False

    async def __call__(self, batch: Images) -> Scores:
        self.batches.append(len(batch))
        await self.gate.wait()
        if self.fails(batch):
            raise RuntimeError("model failed")
        return batch[:, 0, :10].astype(np.float32)


def images(*values: int) -> Images:
    return np.stack([np.full((28, 28), value, np.uint8) for value in values])


def answered(answer: Answer) -> list[int]:
    assert (answer.scores == answer.scores[:, :1]).all()
    return [int(row[0]) for row in answer.scores]


def batcher(model: EchoModel, **limits: float) -> Batcher:
    defaults = {"max_batch_size": 4, "max_queued_images": 100, "timeout_s": 5.0}
    return Batcher(model, **(defaults | limits))  # type: ignore[arg-type]


async def test_a_lone_image_waits_for_no_timer() -> None:
    model = EchoModel()
    loop = asyncio.get_running_loop()
    turns = 0

    def count() -> None:
        nonlocal turns
        turns += 1
        loop.call_soon(count)

    queue = batcher(model)
    answer = asyncio.ensure_future(queue.submit(images(7)))
    loop.call_soon(count)
    assert answered(await answer) == [7]
    assert turns < 10  # turns of the loop, not milliseconds


async def test_images_that_arrive_together_form_one_batch() -> None:
    model = EchoModel()
    queue = batcher(model)
    answers = await asyncio.gather(*(queue.submit(images(value)) for value in (3, 1, 2)))
    assert [answered(answer) for answer in answers] == [[3], [1], [2]]
    assert model.batches == [3]


async def test_the_next_batch_grows_while_the_model_is_busy() -> None:
    model = EchoModel()
    model.gate.clear()
    queue = batcher(model)
    first = asyncio.ensure_future(queue.submit(images(9)))
    await wait_until(lambda: model.batches == [1])
    rest = []
    for value in range(6):
        rest.append(asyncio.ensure_future(queue.submit(images(value))))
        await asyncio.sleep(0)
    model.gate.set()
    assert answered(await first) == [9]
    assert [answered(await answer) for answer in rest] == [[value] for value in range(6)]
    assert model.batches == [1, 4, 2]


async def test_a_request_larger_than_a_batch_is_split_and_joined() -> None:
    model = EchoModel()
    assert answered(await batcher(model).submit(images(*range(11)))) == list(range(11))
    assert model.batches == [4, 4, 3]


async def test_a_request_is_never_split_to_fill_a_batch() -> None:
    model = EchoModel()
    queue = batcher(model)
    answers = await asyncio.gather(*(queue.submit(images(*[value] * 3)) for value in (1, 2)))
    assert [answered(answer) for answer in answers] == [[1, 1, 1], [2, 2, 2]]
    assert model.batches == [3, 3]


async def test_a_failing_item_fails_alone() -> None:
    model = EchoModel()
    model.fails = lambda batch: bool((batch == 66).any())
    queue = batcher(model)
    answers = await asyncio.gather(
        *(queue.submit(images(value)) for value in (1, 66, 2)), return_exceptions=True
    )
    assert isinstance(answers[1], RuntimeError)
    assert [answered(answers[i]) for i in (0, 2)] == [[1], [2]]  # type: ignore[arg-type]


async def test_an_answer_of_another_length_is_a_failure_not_a_mix_up() -> None:
    async def short(batch: Images) -> Scores:
        return batch[:-1, 0, :10].astype(np.float32)

    queue = Batcher(short, max_batch_size=4, max_queued_images=10, timeout_s=5)
    answers = await asyncio.gather(*(queue.submit(images(value)) for value in (1, 2)), return_exceptions=True)
    assert [type(answer) for answer in answers] == [RuntimeError, RuntimeError]


async def test_a_full_queue_refuses_at_once_and_recovers() -> None:
    model = EchoModel()
    model.gate.clear()
    queue = batcher(model, max_queued_images=3)
    running = asyncio.ensure_future(queue.submit(images(1)))
    await wait_until(lambda: model.batches == [1])
    waiting = asyncio.ensure_future(queue.submit(images(2, 3)))
    await asyncio.sleep(0)
    with pytest.raises(Overloaded, match="2 images wait, this request adds 2, the limit is 3; retry in 1 s"):
        await queue.submit(images(4, 5))
    model.gate.set()
    assert answered(await running) + answered(await waiting) == [1, 2, 3]
    assert answered(await queue.submit(images(4, 5))) == [4, 5]


async def test_images_of_a_cancelled_caller_never_reach_the_model() -> None:
    model = EchoModel()
    model.gate.clear()
    queue = batcher(model)
    running = asyncio.ensure_future(queue.submit(images(1)))
    await wait_until(lambda: model.batches == [1])
    gone = asyncio.ensure_future(queue.submit(images(2)))
    stays = asyncio.ensure_future(queue.submit(images(3)))
    await asyncio.sleep(0)
    gone.cancel()
    model.gate.set()
    assert answered(await running) + answered(await stays) == [1, 3]
    assert model.batches == [1, 1]


async def test_a_cancelled_caller_costs_its_neighbour_nothing() -> None:
    """Also while their batch runs."""
    model = EchoModel()
    model.gate.clear()
    queue = batcher(model)
    gone, stays = (asyncio.ensure_future(queue.submit(images(value))) for value in (2, 3))
    await wait_until(lambda: model.batches == [2])
    gone.cancel()
    model.gate.set()
    assert answered(await stays) == [3]


async def test_an_expired_image_is_dropped_before_the_model(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, model = LoopClock(monkeypatch), EchoModel()
    model.gate.clear()
    queue = batcher(model, timeout_s=0.5)
    running = asyncio.ensure_future(queue.submit(images(1)))
    await clock.turns()
    late = asyncio.ensure_future(queue.submit(images(2)))
    await clock.turns()
    clock.now += 0.25
    there = asyncio.ensure_future(queue.submit(images(3)))
    await clock.turns()
    clock.now += 0.375
    model.gate.set()
    assert answered(await running) + answered(await there) == [1, 3]
    with pytest.raises(DeadlineExceeded, match=r"0\.5 s"):
        await late
    assert model.batches == [1, 1]


async def test_the_queue_restarts_when_empty_and_after_a_failure() -> None:
    model = EchoModel()
    model.fails = lambda batch: True
    queue = batcher(model)
    with pytest.raises(RuntimeError):
        await queue.submit(images(1))
    model.fails = lambda batch: False
    for value in (2, 3):
        assert answered(await queue.submit(images(value))) == [value]


async def wait_until(condition: Callable[[], bool], timeout_s: float = 5) -> None:
    async with asyncio.timeout(timeout_s):
        while not condition():
            await asyncio.sleep(0.001)


async def test_images_of_a_disconnected_client_are_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before the model, if they had to wait."""
    clock, model = PerfCounter(monkeypatch), EchoModel()
    model.gate.clear()
    queue = batcher(model)
    running = asyncio.ensure_future(queue.submit(images(1), lambda: True))  # it did not wait
    await LoopClock.turns()
    gone = asyncio.ensure_future(queue.submit(images(2), lambda: True))
    there = asyncio.ensure_future(queue.submit(images(3), lambda: False))
    await LoopClock.turns()
    clock.now += 2 * ASK_AFTER_S
    model.gate.set()
    assert (answered(await running), answered(await there)) == ([1], [3])
    with pytest.raises(Abandoned):
        await gone
    assert model.batches == [1, 1]


async def test_how_long_a_batch_has_been_running_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, model = PerfCounter(monkeypatch), EchoModel()
    queue = batcher(model)
    assert queue.running_s() == 0
    model.gate.clear()
    answer = asyncio.ensure_future(queue.submit(images(1)))
    await LoopClock.turns()
    clock.now += 2
    assert queue.running_s() == pytest.approx(2)
    model.gate.set()
    await answer
    await LoopClock.turns()
    assert queue.running_s() == 0


async def test_each_batch_is_counted_with_its_images_and_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """A batch whose callers have all been cancelled is not counted: the model never saw it."""
    clock, model, counts = LoopClock(monkeypatch), EchoModel(), list[BatchCount]()
    model.gate.clear()
    queue = Batcher(model, max_batch_size=4, max_queued_images=9, timeout_s=30, on_batch=counts.append)
    running = asyncio.ensure_future(queue.submit(images(1)))
    await clock.turns()
    three = asyncio.ensure_future(queue.submit(images(3, 4, 5)))
    gone = asyncio.ensure_future(queue.submit(images(6, 7)))  # does not fit the batch of the three
    await clock.turns()
    clock.now += 2
    gone.cancel()
    model.gate.set()
    assert (answered(await running), answered(await three)) == ([1], [3, 4, 5])
    await clock.turns()
    assert queue.queued_images == 0
    assert model.batches == [1, 3]
    assert [count.images for count in counts] == [1, 3]


async def test_times_are_finer_than_the_clock_of_the_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    """uvloop's clock counts whole milliseconds, and many a batch takes less than one."""
    LoopClock(monkeypatch)  # stands still
    clock, model, counts = PerfCounter(monkeypatch), EchoModel(), list[BatchCount]()
    model.gate.clear()
    queue = Batcher(model, max_batch_size=3, max_queued_images=9, timeout_s=30, on_batch=counts.append)
    running = asyncio.ensure_future(queue.submit(images(1)))
    await LoopClock.turns()
    three = asyncio.ensure_future(queue.submit(images(3, 4, 5)))
    await LoopClock.turns()
    clock.now += 0.0002
    model.gate.set()
    assert (await running).model_s == counts[0].model_s == pytest.approx(0.0002)
    assert (await three).queue_s == pytest.approx(0.0002)
    assert counts[1].queue_s == pytest.approx(3 * 0.0002)  # each of the three for itself
