"""The load generators: wrk for closed loops, h2load for open ones.

Closed loop: a connection sends its next request once it has its answer; this finds the capacity.  Open loop:
requests are due at a fixed rate whatever the service does, like those of independent users.

An open loop must not omit the requests that a stalled service keeps from being sent ("coordinated omission").
h2load sends no request on a connection that waits for an answer, so the latency of a request that leaves late
counts from when it was due; the k-th request sent is the k-th one due.  The connections open one by one over
the time between two requests of one connection, which is not measured: h2load would otherwise send on all of
them at the same instant.

`python -m benchmarks.load_check` compares this with stubs of known latency: delays of 10 ms, stalls of 400 ms
and an overload by a fifth are measured to 2 ms or 3 %, with 128 and with 1024 connections.  autocannon 9,
which corrects its percentiles for omission, is wrong: a p50 of 9 ms where every answer takes 10 ms, and a p99
of 18 ms where it is 490 ms, because it sends each second's requests at the beginning of the second.  wrk 4.1
also corrects its percentiles, although a closed loop omits nothing: a service that stalls gets too high ones.
"""

import json
import math
import re
import shutil
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from testkit.encodings import Body

PROGRAMS = {"wrk": "wrk", "h2load": "nghttp2-client"}  # each with its Debian package
MOST_CONNECTIONS = 512
SETTLING_S = 0.2
DRAIN_S = 10
JITTER_S = 0.05  # h2load itself sends up to this much too late or too early
WRK_SCRIPT = r"""
local requests, last = {}, 0
init = function()
  for number, headers in ipairs({headers}) do
    local file = io.open("{folder}/" .. number, "rb")
    requests[number] = wrk.format("POST", nil, headers, file:read("*a"))
    file:close()
  end
end
request = function()
  last = last % #requests + 1
  return requests[last]
end
done = function(summary, latency)
  local errors = summary.errors
  io.write(string.format("%d %d %d %d %d %d\n", summary.requests, summary.duration, latency:percentile(50),
    latency:percentile(99), errors.status, errors.connect + errors.read + errors.write + errors.timeout))
end
"""


@dataclass(frozen=True)
class Closed:
    connections: int
    rate: float  # answers with status 2xx and 3xx a second
    p50_ms: float
    p99_ms: float
    refused: int  # answers with status 4xx and 5xx
    lost: int  # broken connections and timeouts


@dataclass(frozen=True)
class Open:
    rate: float  # requests due a second, at most half a percent below the rate asked for
    sent: float  # requests sent a second in the measured time
    accepted: float  # answers with status 2xx a second to the requests due, however late
    p50_ms: float | None  # of the accepted requests; None if there are none
    p99_ms: float | None
    statuses: dict[str, int]  # how many of the requests due got each status
    slowest_ms: dict[str, float]  # of each status
    lost: int  # requests of the whole run without an answer


def describe_missing() -> str:
    """Returns which load generators are missing and what installs them; "" if none is."""
    missing = [program for program in PROGRAMS if shutil.which(program) is None]
    packages = " ".join(PROGRAMS[program] for program in missing)
    return f"{' and '.join(missing)} missing: sudo apt-get install {packages}" if missing else ""


def closed_loop(url: str, bodies: Sequence[Body], connections: int, seconds: float) -> Closed:
    """Runs wrk, which sends the bodies in turn; `seconds` is rounded up to whole seconds."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for number, body in enumerate(bodies, 1):
            (folder / str(number)).write_bytes(body.content)
        headers = ", ".join(map(_lua_table, bodies))
        script = WRK_SCRIPT.replace("{headers}", f"{{{headers}}}").replace("{folder}", name)
        (folder / "post.lua").write_text(script)
        command = [
            "wrk", "-t1", f"-c{connections}", f"-d{math.ceil(seconds)}s", "--timeout=10s",
            "-s", f"{folder}/post.lua", url,
        ]  # fmt: skip
        output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    last = re.findall(r"^(\d+) (\d+) (\d+) (\d+) (\d+) (\d+)$", output, re.MULTILINE)[-1]
    requests, microseconds, p50, p99, refused, lost = map(int, last)
    return Closed(connections, (requests - refused) / microseconds * 1e6, p50 / 1e3, p99 / 1e3, refused, lost)


def _lua_table(body: Body) -> str:
    """Returns the headers of a body; JSON's texts are Lua's, too."""
    typed = [("Content-Type", body.content_type)] if body.content_type else []
    fields = [f"[{json.dumps(name)}] = {json.dumps(value)}" for name, value in (*typed, *body.headers)]
    return f"{{{', '.join(fields)}}}"


def open_loop(
    url: str, body: Body, rate: float, seconds: float, most_connections: int = MOST_CONNECTIONS
) -> Open:
    """Runs as many h2load processes as the rate takes.

    To overload a service with a queue, `most_connections` must exceed the requests that it can hold.
    """
    intervals_ms = connect_intervals_ms(rate)
    rate = sum(1000 / interval for interval in intervals_ms)
    connections = min(rate, most_connections)
    period_s = connections / rate  # between two requests of one connection
    # The last connection opens after one period, and the first one must last to the end of the measurement.
    rounds = math.ceil((seconds + SETTLING_S) / period_s) + 2
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "body").write_bytes(body.content)
        generators, total = [], 0
        for number, interval_ms in enumerate(intervals_ms):
            clients = max(1, round(period_s * 1000 / interval_ms))
            total += clients * rounds
            command = [
                "h2load", "--h1", "-t1", f"-c{clients}", f"-n{clients * rounds}", f"--rps={1 / period_s}",
                "-r1", f"--rate-period={interval_ms}ms", "-d", f"{folder}/body",
                "-H", f"content-type: {body.content_type or ''}", f"--log-file={folder}/{number}.log", url,
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
    slowest = {
        status: float(latencies_ms[measured & (rows[:, 1] == int(status))].max()) for status in statuses
    }
    return Open(rate, sent, len(accepted) / seconds, p50, p99, dict(statuses), slowest, lost)


def connect_intervals_ms(rate: float) -> list[int]:
    """Returns each h2load process's milliseconds between two connections; together they reach `rate`."""
    intervals, left = [], rate
    while left > rate / 200:
        intervals.append(math.ceil(1000 / left))
        left -= 1000 / intervals[-1]
    return intervals


def _wait(generators: list[subprocess.Popen[bytes]], timeout_s: float) -> None:
    """Kills what runs past the timeout: h2load 1.52 hangs if a connection closes; its log is complete."""
    deadline = time.monotonic() + timeout_s
    for generator in generators:
        try:
            generator.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            generator.kill()
            generator.wait()


def _read_log(file: Path) -> NDArray[np.int64]:
    """Returns (n, 3): start in microseconds since 1970, status, microseconds to the end of the answer."""
    numbers: NDArray[np.int64] = np.array(file.read_text().split(), np.int64)
    return numbers[: len(numbers) // 3 * 3].reshape(-1, 3)
