"""The load generators: wrk for closed loops, h2load for open ones.  Debian packages: wrk, nghttp2-client.

Closed: a connection sends its next request when it has its answer; that finds the capacity.  Open: requests
are due at a fixed rate whatever the service does, as those of people who know nothing of each other are.

An open loop must not leave out the requests that a stalled service keeps from being sent ("coordinated
omission").  h2load sends none on a connection that waits for an answer; so what leaves late is counted from
when it was due, the k-th that leaves being the k-th that was due.  The connections are made one by one over
the time between two requests of one of them, which is not measured: h2load's own start would send all at one
instant.

`python -m benchmarks.load_check` compares this with stubs whose latencies are known: delays of 10 ms, stalls
of 400 ms and an overload of a fifth are seen right to 2 ms or 3 %, with 128 connections as with 1024.
autocannon 9, which corrects its percentiles for omission, is wrong: a p50 of 9 ms where every answer takes
10 ms, a p99 of 18 ms where it is 490 ms, for it sends each second's requests at the second's beginning.
wrk 4.1 corrects its percentiles too, though a closed loop omits nothing: those of a service that stalls come
out too high.
"""

import math
import re
import subprocess
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

MOST_CONNECTIONS = 512
SETTLING_S = 0.2
DRAIN_S = 10
JITTER_S = 0.05  # by which h2load itself may be late or early
WRK_SCRIPT = r"""
wrk.method = "POST"
wrk.headers["Content-Type"] = "{content_type}"
local file = io.open("{body}", "rb")
wrk.body = file:read("*a")
file:close()
done = function(summary, latency)
  local errors = summary.errors
  io.write(string.format("%d %d %d %d %d %d\n", summary.requests, summary.duration, latency:percentile(50),
    latency:percentile(99), errors.status, errors.connect + errors.read + errors.write + errors.timeout))
end
"""


@dataclass(frozen=True)
class Closed:
    connections: int
    rate: float  # answers of status 2xx and 3xx a second
    p50_ms: float
    p99_ms: float
    refused: int  # answers of status 4xx and 5xx
    lost: int  # broken connections and time-outs


@dataclass(frozen=True)
class Open:
    rate: float  # of requests that were due; at most half a percent below what was asked for
    sent: float  # of requests that were sent meanwhile
    accepted: float  # of the due ones' answers of status 2xx, however late
    p50_ms: float | None  # of the accepted, None if there are none
    p99_ms: float | None
    statuses: dict[str, int]  # of the requests that were due
    lost: int  # never answered, of the whole run


def closed_loop(url: str, body: bytes, content_type: str, connections: int, seconds: float) -> Closed:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "body").write_bytes(body)
        script = WRK_SCRIPT.replace("{content_type}", content_type).replace("{body}", f"{folder}/body")
        (folder / "post.lua").write_text(script)
        command = [
            "wrk", "-t1", f"-c{connections}", f"-d{math.ceil(seconds)}s", "--timeout=10s",
            "-s", f"{folder}/post.lua", url,
        ]  # fmt: skip
        output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    last = re.findall(r"^(\d+) (\d+) (\d+) (\d+) (\d+) (\d+)$", output, re.MULTILINE)[-1]
    requests, microseconds, p50, p99, refused, lost = map(int, last)
    return Closed(connections, (requests - refused) / microseconds * 1e6, p50 / 1e3, p99 / 1e3, refused, lost)


def open_loop(
    url: str,
    body: bytes,
    content_type: str,
    rate: float,
    seconds: float,
    most_connections: int = MOST_CONNECTIONS,
) -> Open:
    """A service that is to refuse what it cannot queue must be sent so much: that takes more connections."""
    intervals_ms = connect_intervals_ms(rate)
    rate = sum(1000 / interval for interval in intervals_ms)
    connections = min(rate, most_connections)
    period_s = connections / rate  # between two requests of one connection
    # The last connects after one period, and the first must go on until the end of what is measured.
    rounds = math.ceil((seconds + SETTLING_S) / period_s) + 2
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "body").write_bytes(body)
        generators, total = [], 0
        for number, interval_ms in enumerate(intervals_ms):
            clients = max(1, round(period_s * 1000 / interval_ms))
            total += clients * rounds
            command = [
                "h2load", "--h1", "-t1", f"-c{clients}", f"-n{clients * rounds}", f"--rps={1 / period_s}",
                "-r1", f"--rate-period={interval_ms}ms", "-d", f"{folder}/body",
                "-H", f"content-type: {content_type}", f"--log-file={folder}/{number}.log", url,
            ]  # fmt: skip
            generators.append(subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
        _wait(generators, (rounds + 1) * period_s + DRAIN_S)
        rows = np.concatenate([np.empty((0, 3), np.int64), *map(_read_log, folder.glob("*.log"))])
    return _summary(rows, total / rounds / period_s, period_s + SETTLING_S, seconds, total - len(rows))


def _summary(rows: NDArray[np.int64], rate: float, start_s: float, seconds: float, lost: int) -> Open:
    rows = rows[rows[:, 0].argsort()]
    sent_s = (rows[:, 0] - rows[:1, 0]) / 1e6
    due_s = np.arange(len(rows)) / rate
    sent = int(((sent_s >= start_s) & (sent_s < start_s + seconds)).sum()) / seconds
    measured = (due_s >= start_s) & (due_s < start_s + seconds)
    late_s = sent_s - due_s
    late_s -= late_s.min(where=due_s >= start_s, initial=math.inf)
    latencies_ms = rows[:, 2] / 1e3 + np.where(late_s > JITTER_S, late_s, 0) * 1e3
    accepted = latencies_ms[measured & (rows[:, 1] >= 200) & (rows[:, 1] < 300)]
    p50, p99 = np.percentile(accepted, (50, 99)).tolist() if len(accepted) else (None, None)
    statuses = Counter(str(status) for status in rows[measured, 1].tolist())
    return Open(rate, sent, len(accepted) / seconds, p50, p99, dict(statuses), lost)


def connect_intervals_ms(rate: float) -> list[int]:
    """One h2load for each: it connects once in so many whole milliseconds, and together they reach `rate`."""
    intervals, left = [], rate
    while left > rate / 200:
        intervals.append(math.ceil(1000 / left))
        left -= 1000 / intervals[-1]
    return intervals


def _wait(generators: list[subprocess.Popen[bytes]], timeout_s: float) -> None:
    """h2load 1.52 waits for ever where a service has closed a connection; what it has logged is complete."""
    deadline = time.monotonic() + timeout_s
    for generator in generators:
        try:
            generator.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            generator.kill()
            generator.wait()


def _read_log(file: Path) -> NDArray[np.int64]:
    """(n, 3): start in microseconds since 1970, status, microseconds to the end of the answer."""
    numbers: NDArray[np.int64] = np.array(file.read_text().split(), np.int64)
    return numbers[: len(numbers) // 3 * 3].reshape(-1, 3)
