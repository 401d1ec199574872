"""Sends load for an hour, with some invalid requests and clients that disconnect; fails if memory grows.

    python -m benchmarks.soak --minutes 60 [--proxy rays-proxy]

Prints how much the memory of each serving process grew after the first fifth of the time, and plots it to
docs/benchmarks/soak.png.  Exits with 1 if a valid request failed, or if memory grew by more than GROWTH_MB
along a line through the samples and by more than three standard errors of that line.
"""

import argparse
import socket
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import matplotlib.pyplot as plt  # noqa: TID253
from scipy.stats import linregress
from tqdm import tqdm

from testkit.cluster import ENVIRONMENTS, ROOT, LocalCluster, wait_until
from testkit.encodings import Body, json_body
from testkit.load import closed_loop
from testkit.processes import resident_mb
from testkit.traffic import BODY, Traffic

WATCHED = ("ray::ServeReplica", "ray::ProxyActor", "ray::ServeController", "bin/haproxy")
CONNECTIONS, RATE, SAMPLE_EVERY_S = 4, 20, 2.0
GROWTH_MB, SETTLES_S = 5.0, 10
BAD = Body(b"\x89PNG\r\n\x1a\n" + bytes(500), "image/png"), json_body({"pixels": [1, 2]})
PICTURE = ROOT / "docs" / "benchmarks" / "soak.png"

Samples = list[tuple[float, float]]  # minutes since the start, resident MB


def misbehave(port: int, number: int) -> None:
    """Sends a request that must be refused, and one whose client disconnects in the middle of the body."""
    body = BAD[number % len(BAD)]
    head = f"POST /predict HTTP/1.1\r\nHost: a\r\nContent-Type: {body.content_type}\r\nContent-Length: "
    with socket.create_connection(("127.0.0.1", port), timeout=10) as refused:
        refused.sendall(f"{head}{len(body.content)}\r\n\r\n".encode() + body.content)
        assert refused.recv(100).startswith(b"HTTP/1.1 4")
    with socket.create_connection(("127.0.0.1", port), timeout=10) as cut:
        cut.sendall(f"{head}5000\r\n\r\n".encode() + body.content[:100])


def settled_pids(cluster: LocalCluster) -> dict[str, int]:
    """Returns the serving processes once they stay the same.

    Ray restarts HAProxy for each added replica, and the old process ends some seconds later.
    """
    pids: dict[str, int] = {}

    def have_stayed() -> bool:
        nonlocal pids
        before = pids
        pids = {f"{title} {pid}": pid for title in WATCHED for pid in cluster.pids(title)}
        time.sleep(SETTLES_S)
        return pids == before

    wait_until(have_stayed, timeout_s=120)
    return pids


def watch(port: int, pids: dict[str, int], minutes: float) -> dict[str, Samples]:
    """Samples the memory of each process; fails if one ends."""
    samples: dict[str, Samples] = {name: [] for name in pids}
    start = time.monotonic()
    for number in tqdm(range(round(minutes * 60 / SAMPLE_EVERY_S)), unit="sample"):
        misbehave(port, number)
        for name, pid in pids.items():
            samples[name].append(((time.monotonic() - start) / 60, resident_mb(pid)))
        time.sleep(max(0.0, start + (number + 1) * SAMPLE_EVERY_S - time.monotonic()))
    return samples


def grew(samples: Samples) -> tuple[float, float]:
    """Returns the growth in MB along a line through all samples but the first fifth, and its error."""
    settled = samples[len(samples) // 5 :]
    minutes, resident = zip(*settled, strict=True)
    line = linregress(minutes, resident)
    length = minutes[-1] - minutes[0]
    return line.slope * length, line.stderr * length


def draw(samples: dict[str, Samples]) -> None:
    figure, axes = plt.subplots(figsize=(8, 4.5))
    for name, series in samples.items():
        axes.plot(*zip(*series, strict=True), label=name)
    axes.set(xlabel="minutes", ylabel="resident memory, MB", ylim=(0, None))
    axes.legend()
    figure.savefig(PICTURE, dpi=110, bbox_inches="tight")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--proxy", choices=list(ENVIRONMENTS), default="haproxy")
    asked = parser.parse_args()
    with LocalCluster(**ENVIRONMENTS[asked.proxy]()) as cluster, ThreadPoolExecutor(1) as thread:
        cluster.serve(cluster.fixed(2), replicas=2)
        pids = settled_pids(cluster)
        with Traffic(cluster.url, RATE) as traffic:
            url, seconds = f"{cluster.url}/predict", asked.minutes * 60
            load = thread.submit(closed_loop, url, [BODY], CONNECTIONS, seconds)
            samples = watch(cluster.port, pids, asked.minutes)
            seen = load.result(timeout=60)
    draw(samples)
    is_flat = True
    for name, series in samples.items():
        growth, error = grew(series)
        is_flat &= growth < max(GROWTH_MB, 3 * error)
        print(
            f"{name}: {series[-1][1]:.1f} MB at the end, grew {growth:+.2f} MB (standard error {error:.2f})"
        )
    print(
        f"load: {seen.rate:.0f} requests/s, p50 {seen.p50_ms:.1f} ms, p99 {seen.p99_ms:.1f} ms, "
        f"{seen.refused} refused, {seen.lost} lost"
    )
    print(f"{len(traffic.outcomes)} checked answers, {len(traffic.failed)} wrong or missing")
    sys.exit(None if is_flat and not traffic.failed else "FAILED: memory grew, or an answer was wrong")


if __name__ == "__main__":
    main()
