"""Reading pictures: what is admitted, in which order, and what is dropped before it costs anything."""

import asyncio
import io
import threading
import time
from collections.abc import Sequence

import pytest
from PIL import Image

from digits.errors import Abandoned, BadInput, DeadlineExceeded, Overloaded
from digits.inference import costs as costs_module
from digits.inference import reader as module
from digits.inference.costs import Costs, kind_of
from digits.inference.items import Item, Read
from digits.inference.pace import Pace
from digits.inference.reader import Reader
from digits.vision.golden import golden_digits
from digits.vision.limits import MAX_PIXELS as MOST
from digits.vision.reading import read_file
from testkit.encodings import image_file

SMALL = image_file(golden_digits()[0][3])
NEVER = 1e9


class Gate:
    """Reading that waits until `open`, and remembers what was read in which order; a kind is an item."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, costs: dict[bytes, float]) -> None:
        self.open = threading.Event()
        self.read: list[bytes] = []
        monkeypatch.setattr(costs_module, "kind_of", lambda item, _: item)
        monkeypatch.setattr(Costs, "expected_s", lambda _, kind: costs[kind])
        monkeypatch.setattr(Costs, "learn", lambda *_: None)
        monkeypatch.setattr(module, "read_item", self._read)

    def _read(self, item: bytes, max_pixels: int) -> Read:
        assert self.open.wait(20)
        self.read.append(item)
        return read_file(SMALL, max_pixels)


async def ask(
    reader: Reader, *items: Item, max_work_s: float = 1, deadline: float = NEVER, gone: bool = False
) -> Sequence[Read]:
    return await reader.read(
        items, max_pixels=MOST, max_work_s=max_work_s, deadline=deadline, is_abandoned=lambda: gone
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


def learn(pace: Pace, value: float) -> None:
    for _ in range(1000):
        pace.learn(0.005, 0.005 / value)
    assert pace.value == pytest.approx(value, rel=0.01)


async def test_slow_threads_admit_less_work(monkeypatch: pytest.MonkeyPatch) -> None:
    """The bound is on seconds that pass: a thread may get a core, or the interpreter, half of the time."""
    gate = Gate(monkeypatch, {b"photo": 0.4})
    reader = Reader(1)
    learn(reader._pace, 2)
    first = asyncio.ensure_future(ask(reader, b"photo"))
    await started(first)
    with pytest.raises(Overloaded, match=r"takes 0\.8 s"):
        await ask(reader, b"photo")
    gate.open.set()
    await first
    assert reader._pace.value < 1.5  # learned from how fast it was


def test_a_paused_machine_does_not_refuse_photos_for_long() -> None:
    """A container that was paused for a minute: the pace is normal again after a second of work."""
    pace = Pace()
    pace.learn(60.0, 0.03)
    assert 1 < pace.value < 20
    for _ in range(30):
        pace.learn(0.03, 0.03)
    assert pace.value < 2


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


async def test_an_unexpected_error_fails_only_its_own_job(monkeypatch: pytest.MonkeyPatch) -> None:
    """Though a thread gets short jobs together."""
    gate = Gate(monkeypatch, {b"photo": 0.1, b"drawing": 0.002, b"broken": 0.002})

    def fails(item: bytes, max_pixels: int) -> Read:
        if item == b"broken":
            raise MemoryError
        return gate._read(item, max_pixels)

    monkeypatch.setattr(module, "read_item", fails)
    reader = Reader(1)
    names = [b"photo", b"drawing", b"broken", b"drawing"]
    asked = [asyncio.ensure_future(ask(reader, name)) for name in names]
    await started(*asked)
    gate.open.set()
    answers = await asyncio.gather(*asked, return_exceptions=True)
    assert [type(answer) for answer in answers] == [list, list, MemoryError, list]
    assert len(await ask(reader, b"photo", max_work_s=0)) == 1  # nothing waits


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

    monkeypatch.setattr(module, "read_item", read)
    await ask(reader, SMALL)
    assert names == [threading.current_thread().name]
    learn(reader._pace, 2 * module.STARVED)
    await ask(reader, SMALL)
    assert names[1].startswith("reader")


async def test_many_files_are_weighed_in_a_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """A JPEG of hundreds of segments takes 0.5 ms: 256 of them stopped the event loop for 0.12 s."""
    weighed_by: list[threading.Thread] = []

    def weigh(*_: object) -> tuple[str, int]:
        weighed_by.append(threading.current_thread())
        return "none", 0

    monkeypatch.setattr(costs_module, "weigh", weigh)
    await ask(Reader(1), *[SMALL] * 16)
    assert set(weighed_by) == {threading.main_thread()}
    weighed_by.clear()
    await ask(Reader(1), *[SMALL] * 17)
    assert threading.main_thread() not in weighed_by


async def test_waiting_for_a_core_is_no_cost_of_a_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a busy machine it would send small pictures to the threads, where they wait still longer."""

    def preempted(item: bytes, max_pixels: int) -> Read:
        time.sleep(0.2)
        return read_file(item, max_pixels)

    monkeypatch.setattr(module, "read_item", preempted)
    learnt: list[float] = []
    monkeypatch.setattr(Costs, "learn", lambda _, kind, seconds, whole: learnt.append(seconds))
    await ask(Reader(1), SMALL)
    assert learnt[0] < 0.1


async def test_busy_and_refused_seconds_add_up(monkeypatch: pytest.MonkeyPatch) -> None:
    gate = Gate(monkeypatch, {b"photo": 0.9})
    reader = Reader(2)
    both = [asyncio.ensure_future(ask(reader, b"photo")) for _ in range(2)]
    await started(*both)
    first, before_s, second = time.monotonic(), reader.busy_s, time.monotonic()
    await asyncio.sleep(0.05)
    third, after_s, fourth = time.monotonic(), reader.busy_s, time.monotonic()
    # The machine may pause between two of these.
    assert 2 * (third - second) - 1e-6 <= after_s - before_s <= 2 * (fourth - first) + 1e-6
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
    costs, small = Costs(), kind_of(SMALL, MOST)
    assert costs.expected_s(small) < 0.0005
    for _ in range(50):
        costs.learn(small, 0.5)
    assert costs.expected_s(small) == pytest.approx(0.5, rel=0.1)
    assert costs.expected_s(kind_of(BadInput("image_empty", "-"), MOST)) < 0.001


def image_of(image: Image.Image, kind: str, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def jpeg_of(width: int, height: int) -> bytes:
    file = image_of(Image.new("L", (8, 8)), "JPEG")
    place = file.index(b"\xff\xc0") + 5
    return file[:place] + height.to_bytes(2, "big") + width.to_bytes(2, "big") + file[place + 4 :]


def png_of(width: int, height: int) -> bytes:
    return SMALL[:16] + width.to_bytes(4, "big") + height.to_bytes(4, "big") + SMALL[24:]


@pytest.mark.parametrize(
    "refused",
    [
        bytes(2**24),
        b"BM" + bytes(2**24),
        b"RIFF\0\0\0\0WEBP" + bytes(2**24),
        png_of(2**31 - 1, 2**31 - 1),
        b"GIF89a" + b"\xff" * 1000,
        b"BM" + bytes(16) + b"\0\0\0\x7f" * 2 + bytes(100),
        png_of(4000, 4000)[:100],
        jpeg_of(7000, 7000),
        b"BM" + bytes(16) + (4000).to_bytes(4, "little") * 2 + bytes(100),
    ],
    ids=["no image", "no BMP", "no WebP", "PNG", "GIF", "BMP", "short PNG", "short JPEG", "short BMP"],
)
def test_refused_files_do_not_fill_the_queue(refused: bytes) -> None:
    """Whatever size they claim: photos that come after them would get 429."""
    limit = 0.1 if len(refused) > 2**20 else 0.01
    assert Costs().expected_s(kind_of(refused, MOST)) < limit


@pytest.mark.parametrize("picture", [png_of(1000, 1000), jpeg_of(1000, 1000) + bytes(10_000)])
def test_pictures_too_large_for_their_request_are_no_work(picture: bytes) -> None:
    """A list of many photos is refused item by item, unread: it counted as seconds of decoding."""
    assert kind_of(picture, 10**6)[0] != "none"
    assert kind_of(picture, 10**6 - 1)[0] == "none"


async def test_tiny_files_of_many_pixels_are_not_read_on_the_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    """A WebP of 50 bytes can have six million pixels, and a GIF's frame more than its screen."""
    read_by: set[threading.Thread] = set()

    def read(*_: object) -> BadInput:
        read_by.add(threading.current_thread())
        return BadInput("image_unreadable", "-")

    monkeypatch.setattr(module, "read_item", read)
    one_colour = Image.new("P", (2000, 2000))
    gif = bytearray(image_of(one_colour, "GIF"))
    gif[6:10] = b"\1\0\1\0"
    for data in (image_of(one_colour.convert("RGB"), "WEBP", lossless=True), bytes(gif)):
        assert len(data) < 10_000
        await ask(Reader(1), data)
    assert threading.main_thread() not in read_by


def test_a_small_picture_with_much_text_is_not_read_on_the_loop() -> None:
    text = (2**20).to_bytes(4, "big") + b"tEXt" + bytes(2**20 + 4)
    assert Costs().expected_s(kind_of(SMALL[:33] + text * 4 + SMALL[33:], MOST)) > 10 * module.ON_LOOP_S


def test_files_cannot_make_up_kinds_without_end() -> None:
    """What is learned of a kind is kept, and the head of a PNG may say any two bytes."""
    sizes = b"\0\0\0\x1c" * 2
    heads = [
        b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + sizes + bytes((bits, colour))
        for bits in range(256)
        for colour in range(256)
    ]
    kinds = {kind_of(head, MOST) for head in heads}
    assert len(kinds) <= 30
    assert kind_of(SMALL, MOST) in kinds


async def test_damaged_files_do_not_make_whole_ones_look_cheap() -> None:
    """Or the next photo of this size would be decoded on the event loop, for a third of a second."""
    size = (4000).to_bytes(4, "big") + (3000).to_bytes(4, "big")
    damaged = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + size + bytes((8, 2)) + bytes(40_000)
    reader = Reader(1)
    for _ in range(60):
        (read,) = await ask(reader, damaged)
        assert isinstance(read, BadInput)
    assert reader._costs.expected_s(kind_of(damaged, MOST)) > 0.1
