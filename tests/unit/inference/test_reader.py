"""Reading pictures: what is admitted, in which order, and what is dropped before it costs anything."""

import asyncio
import threading
import time
from collections.abc import Sequence

import pytest

from digits.errors import Abandoned, BadInput, DeadlineExceeded, Overloaded
from digits.inference import reader as module
from digits.inference.costs import Costs, Item, kind_of
from digits.inference.reader import Read, Reader
from digits.vision.golden import golden_digits
from digits.vision.reading import read_file
from testkit.encodings import image_file

SMALL = image_file(golden_digits()[0][3])
NEVER = 1e9


class Gate:
    """Reading that waits until `open`, and remembers what was read in which order; a kind is an item."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, costs: dict[bytes, float]) -> None:
        self.open = threading.Event()
        self.read: list[bytes] = []
        monkeypatch.setattr(module, "kind_of", lambda item: item)
        monkeypatch.setattr(Costs, "expected_s", lambda _, kind: costs[kind])
        monkeypatch.setattr(Costs, "learn", lambda *_: None)
        monkeypatch.setattr(module, "_read", self._read)

    def _read(self, item: bytes, max_pixels: int) -> Read:
        assert self.open.wait(20)
        self.read.append(item)
        return read_file(SMALL, max_pixels)


async def ask(
    reader: Reader, *items: Item, max_work_s: float = 1, deadline: float = NEVER, gone: bool = False
) -> Sequence[Read]:
    return await reader.read(
        items, max_pixels=10**6, max_work_s=max_work_s, deadline=deadline, is_abandoned=lambda: gone
    )


async def started(*requests: asyncio.Future[Sequence[Read]]) -> None:
    for _ in range(5):
        await asyncio.sleep(0)
    assert not any(request.done() for request in requests)


async def test_work_past_the_bound_is_refused_with_a_retry_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """At once, not after a wait."""
    gate = Gate(monkeypatch, {b"photo": 1.2})
    reader = Reader(1)
    first = asyncio.ensure_future(ask(reader, b"photo"))
    await started(first)
    with pytest.raises(Overloaded, match="retry in 2 s") as caught:
        await ask(reader, b"photo")
    assert caught.value.retry_after_s == 2
    gate.open.set()
    await first
    await ask(reader, b"photo")


async def test_one_picture_is_read_however_long_it_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    """The bound is on what waits: an idle reader takes every allowed picture."""
    gate = Gate(monkeypatch, {b"huge": 5.0})
    gate.open.set()
    assert len(await ask(Reader(1), b"huge", max_work_s=0.1)) == 1


async def test_two_threads_may_have_twice_the_work_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    gate = Gate(monkeypatch, {b"photo": 0.9})
    reader = Reader(2)
    both = [asyncio.ensure_future(ask(reader, b"photo")) for _ in range(2)]
    await started(*both)
    with pytest.raises(Overloaded):
        await ask(reader, b"photo")
    gate.open.set()
    await asyncio.gather(*both)


async def test_short_work_does_not_wait_behind_a_queue_of_photos(monkeypatch: pytest.MonkeyPatch) -> None:
    gate = Gate(monkeypatch, {b"photo": 0.05, b"drawing": 0.002})
    reader = Reader(1)
    photos = [asyncio.ensure_future(ask(reader, b"photo")) for _ in range(10)]
    await started(*photos)
    drawing = asyncio.ensure_future(ask(reader, b"drawing"))
    await started(drawing)
    gate.open.set()
    await asyncio.gather(*photos, drawing)
    assert gate.read.index(b"drawing") <= 1


async def test_photos_are_not_starved_by_short_work(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both kinds get the same share of the threads."""
    gate = Gate(monkeypatch, {b"photo": 0.01, b"drawing": 0.002})
    reader = Reader(1)
    drawings = [asyncio.ensure_future(ask(reader, b"drawing")) for _ in range(100)]
    photo = asyncio.ensure_future(ask(reader, b"photo"))
    await started(*drawings, photo)
    gate.open.set()
    await asyncio.gather(*drawings, photo)
    assert gate.read.index(b"photo") < 20


async def test_a_kind_that_was_served_alone_is_not_starved_later(monkeypatch: pytest.MonkeyPatch) -> None:
    """Many photos with no drawings, then a photo among drawings: it waits for its turn, not for all."""
    gate = Gate(monkeypatch, {b"photo": 0.1, b"drawing": 0.003})
    gate.open.set()
    reader = Reader(1)
    for _ in range(20):
        await ask(reader, b"photo")
    gate.open.clear()
    gate.read.clear()
    drawings = [asyncio.ensure_future(ask(reader, b"drawing")) for _ in range(100)]
    await started(*drawings)
    photo = asyncio.ensure_future(ask(reader, b"photo"))
    await started(photo)
    gate.open.set()
    await asyncio.gather(*drawings, photo)
    assert gate.read.index(b"photo") < 20


async def test_one_kind_does_not_use_up_the_bound_of_the_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """A queue of photos refuses photos; a drawing is still admitted."""
    gate = Gate(monkeypatch, {b"photo": 0.2, b"drawing": 0.002})
    reader = Reader(1)
    photos = [asyncio.ensure_future(ask(reader, b"photo")) for _ in range(5)]
    await started(*photos)
    with pytest.raises(Overloaded):
        await ask(reader, b"photo")
    drawing = asyncio.ensure_future(ask(reader, b"drawing"))
    await started(drawing)
    gate.open.set()
    await asyncio.gather(*photos, drawing)


async def test_slow_threads_admit_less_work(monkeypatch: pytest.MonkeyPatch) -> None:
    """The bound is on seconds that pass: a thread may get a core, or the interpreter, half of the time."""
    gate = Gate(monkeypatch, {b"photo": 0.4})
    reader = Reader(1)
    reader._spent_s = 2 * reader._done_s
    first = asyncio.ensure_future(ask(reader, b"photo"))
    await started(first)
    with pytest.raises(Overloaded, match=r"take 0\.8 s"):
        await ask(reader, b"photo")
    gate.open.set()
    await first
    assert reader.pace < 1.5  # learned from how fast it was


async def test_a_thread_gets_short_jobs_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """Between two jobs it would otherwise wait for a busy loop.  Photos are handed over one by one."""
    gate = Gate(monkeypatch, {b"photo": 0.1, b"drawing": 0.003})
    gate.open.set()
    reader = Reader(1)
    together: list[int] = []
    reader._run, run = lambda jobs: together.append(len(jobs)) or run(jobs), reader._run  # type: ignore[method-assign, func-returns-value]
    names = [b"photo", b"photo", *[b"drawing"] * 12]
    await asyncio.gather(*(ask(reader, name) for name in names))
    assert together[0] == 1
    assert 4 in together  # drawings of 10 ms
    assert sum(together) == 14


async def test_what_no_one_waits_for_is_never_read(monkeypatch: pytest.MonkeyPatch) -> None:
    gate = Gate(monkeypatch, {b"first": 0.01, b"gone": 0.01, b"late": 0.01, b"cancelled": 0.01})
    reader = Reader(1)
    first = asyncio.ensure_future(ask(reader, b"first"))
    gone = asyncio.ensure_future(ask(reader, b"gone", gone=True))
    late = asyncio.ensure_future(ask(reader, b"late", deadline=asyncio.get_running_loop().time()))
    cancelled = asyncio.ensure_future(ask(reader, b"cancelled"))
    await started(first, gone, late, cancelled)
    cancelled.cancel()
    gate.open.set()
    await first
    with pytest.raises(Abandoned):
        await gone
    with pytest.raises(DeadlineExceeded):
        await late
    assert gate.read == [b"first"]
    assert len(await ask(reader, b"first", max_work_s=0)) == 1  # what was dropped waits no longer


async def test_short_pictures_are_read_on_the_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    """A hop to a thread and back would cost more.  If the loop starves the threads, all wait in one line."""
    reader = Reader(1)
    names: list[str] = []

    def read(item: bytes, max_pixels: int) -> Read:
        names.append(threading.current_thread().name)
        return read_file(item, max_pixels)

    monkeypatch.setattr(module, "_read", read)
    await ask(reader, SMALL)
    assert names == [threading.current_thread().name]
    reader._spent_s = 2 * module.STARVED * reader._done_s
    await ask(reader, SMALL)
    assert names[1].startswith("reader")


async def test_waiting_for_a_core_is_no_cost_of_a_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a busy machine it would send small pictures to the threads, where they wait still longer."""

    def preempted(item: bytes, max_pixels: int) -> Read:
        time.sleep(0.2)
        return read_file(item, max_pixels)

    monkeypatch.setattr(module, "_read", preempted)
    learnt: list[float] = []
    monkeypatch.setattr(Costs, "learn", lambda _, kind, seconds: learnt.append(seconds))
    await ask(Reader(1), SMALL)
    assert learnt[0] < 0.1


async def test_busy_and_refused_seconds_add_up(monkeypatch: pytest.MonkeyPatch) -> None:
    gate = Gate(monkeypatch, {b"photo": 0.9})
    reader = Reader(2)
    both = [asyncio.ensure_future(ask(reader, b"photo")) for _ in range(2)]
    await started(*both)
    before = reader.busy_s, time.monotonic()
    await asyncio.sleep(0.05)
    busy_s, waited_s = reader.busy_s - before[0], time.monotonic() - before[1]
    assert busy_s == pytest.approx(2 * waited_s, rel=0.05)
    for _ in range(2):
        with pytest.raises(Overloaded):
            await ask(reader, b"photo")
    assert reader.refused_s == pytest.approx(1.8)
    gate.open.set()
    await asyncio.gather(*both)
    idle_s = reader.busy_s
    await asyncio.sleep(0.05)
    assert reader.busy_s == idle_s


def test_costs_follow_what_pictures_of_a_kind_and_size_took() -> None:
    costs, small = Costs(), kind_of(SMALL)
    assert costs.expected_s(small) < 0.0005
    for _ in range(50):
        costs.learn(small, 0.5)
    assert costs.expected_s(small) == pytest.approx(0.5, rel=0.1)
    assert costs.expected_s(kind_of(BadInput("image_empty", "-"))) < 0.001
