"""Steady traffic from a thread: requests are due at a fixed rate, whatever happens to earlier ones."""

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
TIMEOUT_S = 40  # above every limit of the service: later than this no answer comes
RETRY_AFTER_S = 0.2


@dataclass(frozen=True)
class Outcome:
    due: float  # seconds since the traffic began
    seconds: float  # from then to the end of the last answer, all attempts included
    status: int  # 0: no answer
    text: str  # the body of the answer, or the error
    tries: int

    @property
    def is_right(self) -> bool:
        return self.status == 200 and '"digit":3' in self.text


@dataclass
class Traffic:
    """Sends the golden 3 `rate` times a second until the block ends, and has an outcome for each request.

    A failed request is retried up to `retries` times, after Retry-After or RETRY_AFTER_S.  With `mixed` every
    second request has a connection of its own: one that is kept alive does not see where a new one would go.
    """

    url: str
    rate: float
    retries: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    mixed: bool = False
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
        """Seconds since the traffic began, as in `Outcome.due`."""
        return time.monotonic() - self._started

    @property
    def failed(self) -> list[Outcome]:
        return [outcome for outcome in self.outcomes if not outcome.is_right]

    def p99_s(self, start: float = 0, end: float = float("inf")) -> float:
        """Returns the 99th percentile of the correct answers to requests due between `start` and `end`."""
        seconds = sorted(o.seconds for o in self.outcomes if o.is_right and start <= o.due < end)
        return seconds[int(len(seconds) * 0.99)]

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        async with self._client(kept=None) as keeping, self._client(kept=0) as opening:
            pending: set[asyncio.Task[None]] = set()
            due = loop.time()
            while not self._stop.is_set():
                await asyncio.sleep(due - loop.time())
                client = opening if self.mixed and self._sent % 2 else keeping
                task = loop.create_task(self._send(client))
                self._sent += 1
                pending.add(task)
                task.add_done_callback(pending.discard)
                due += 1 / self.rate
            await asyncio.gather(*pending)

    def _client(self, kept: int | None) -> httpx2.AsyncClient:
        """Returns a client that keeps this many idle connections, None: all of them."""
        limits = httpx2.Limits(max_connections=None, max_keepalive_connections=kept)
        headers = {"Content-Type": BODY.content_type or ""} | self.headers
        return httpx2.AsyncClient(base_url=self.url, limits=limits, timeout=TIMEOUT_S, headers=headers)

    async def _send(self, client: httpx2.AsyncClient) -> None:
        due = self.now
        for tries in range(1, self.retries + 2):
            status, text, wait_s = 0, "", RETRY_AFTER_S
            try:
                response = await client.post("/predict", content=BODY.content)
                status, text = response.status_code, response.text
                wait_s = float(response.headers.get("retry-after", RETRY_AFTER_S))
            except httpx2.TransportError as error:
                text = repr(error)
            outcome = Outcome(due, self.now - due, status, text, tries)
            if outcome.is_right or tries > self.retries:
                break
            await asyncio.sleep(wait_s)
        self.outcomes.append(outcome)
