"""Steady load from a thread: requests that are due at a fixed rate, whatever becomes of those before them."""

import asyncio
import threading
import time
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

import httpx2

from digits.vision.golden import golden_digits
from testkit.encodings import ONE

IMAGES, _ = golden_digits()
BODY = ONE["png"](IMAGES[3])
TIMEOUT_S = 40  # above every limit of the service: what it has not answered by then it will never answer
AGAIN_AFTER_S = 0.2


@dataclass(frozen=True)
class Outcome:
    due: float  # seconds since the load began
    seconds: float  # from then to the end of the answer, all tries together
    status: int  # 0: no answer
    text: str  # of the answer, or what came instead of one
    tries: int

    @property
    def is_right(self) -> bool:
        return self.status == 200 and '"digit":3' in self.text


@dataclass
class Traffic:
    """`rate` requests a second for the golden 3 until the block ends; every one is then answered or failed.

    A request that fails is sent again `retries` times, after Retry-After or a moment.
    """

    url: str
    rate: float
    retries: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    outcomes: list[Outcome] = field(default_factory=list)

    def __enter__(self) -> Self:
        self._sent = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), daemon=True)
        self._started = time.monotonic()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join(2 * TIMEOUT_S * (1 + self.retries))
        assert not self._thread.is_alive(), "a request never ended"
        assert len(self.outcomes) == self._sent, "the load generator failed"

    @property
    def now(self) -> float:
        """Seconds since the load began, as in `Outcome.due`."""
        return time.monotonic() - self._started

    @property
    def failed(self) -> list[Outcome]:
        return [outcome for outcome in self.outcomes if not outcome.is_right]

    def p99_s(self, start: float = 0, end: float = float("inf")) -> float:
        """Of the right answers to what was due between these."""
        seconds = sorted(o.seconds for o in self.outcomes if o.is_right and start <= o.due < end)
        return seconds[int(len(seconds) * 0.99)]

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        limits = httpx2.Limits(max_connections=None, max_keepalive_connections=None)
        headers = {"Content-Type": BODY.content_type or ""} | self.headers
        async with httpx2.AsyncClient(
            base_url=self.url, limits=limits, timeout=TIMEOUT_S, headers=headers
        ) as client:
            asking: set[asyncio.Task[None]] = set()
            due = loop.time()
            while not self._stop.is_set():
                await asyncio.sleep(due - loop.time())
                task = loop.create_task(self._ask(client))
                self._sent += 1
                asking.add(task)
                task.add_done_callback(asking.discard)
                due += 1 / self.rate
            await asyncio.gather(*asking)

    async def _ask(self, client: httpx2.AsyncClient) -> None:
        due = self.now
        for tries in range(1, self.retries + 2):
            status, text, wait_s = 0, "", AGAIN_AFTER_S
            try:
                response = await client.post("/predict", content=BODY.content)
                status, text = response.status_code, response.text
                wait_s = float(response.headers.get("retry-after", AGAIN_AFTER_S))
            except httpx2.TransportError as error:
                text = repr(error)
            outcome = Outcome(due, self.now - due, status, text, tries)
            if outcome.is_right or tries > self.retries:
                break
            await asyncio.sleep(wait_s)
        self.outcomes.append(outcome)
