"""Load for an hour with some bad requests and clients that hang up: does memory stay where it is?

    python -m benchmarks.soak --minutes 60 [--proxy python]

Prints for every process that answers how its memory went after the first fifth of the time, and draws it to
docs/benchmarks/soak.png.  Ends with 1 if a right request failed, or if memory grew: more than GROWTH_MB along
a line through the samples, and more than three standard errors of that line.
"""

import argparse
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import matplotlib.pyplot as plt  # noqa: TID253
from scipy.stats import linregress
from tqdm import tqdm

from benchmarks.load import WRK_SCRIPT
from testkit.cluster import ROOT, LocalCluster, proxy_env, serve_env, wait_until
from testkit.encodings import Body, json_body
from testkit.traffic import BODY, Traffic

WATCHED = ("ray::ServeReplica", "ray::ProxyActor", "ray::ServeController", "bin/haproxy")
CONNECTIONS, RATE, SAMPLE_EVERY_S = 4, 20, 2.0
GROWTH_MB, SETTLES_S = 5.0, 10
BAD = Body(b"\x89PNG\r\n\x1a\n" + bytes(500), "image/png"), json_body({"pixels": [1, 2]})
PICTURE = ROOT / "docs" / "benchmarks" / "soak.png"

Samples = list[tuple[float, float]]  # minutes since the start, resident MB


def resident_mb(pid: int) -> float:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4096 / 2**20


def misbehave(port: int, number: int) -> None:
    """One request that must be refused, and one whose client hangs up in the middle of the body."""
    body = BAD[number % len(BAD)]
    head = f"POST /predict HTTP/1.1\r\nHost: a\r\nContent-Type: {body.content_type}\r\nContent-Length: "
    with socket.create_connection(("127.0.0.1", port), timeout=10) as refused:
        refused.sendall(f"{head}{len(body.content)}\r\n\r\n".encode() + body.content)
        assert refused.recv(100).startswith(b"HTTP/1.1 4")
    with socket.create_connection(("127.0.0.1", port), timeout=10) as cut:
        cut.sendall(f"{head}5000\r\n\r\n".encode() + body.content[:100])


def settled_pids(cluster: LocalCluster) -> dict[str, int]:
    """HAProxy is started anew for each replica that comes; the old process goes some seconds later."""
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
    """Samples of each process, which must be there from the beginning to the end."""
    samples: dict[str, Samples] = {name: [] for name in pids}
    start = time.monotonic()
    for number in tqdm(range(round(minutes * 60 / SAMPLE_EVERY_S)), unit="sample"):
        misbehave(port, number)
        for name, pid in pids.items():
            samples[name].append(((time.monotonic() - start) / 60, resident_mb(pid)))
        time.sleep(max(0.0, start + (number + 1) * SAMPLE_EVERY_S - time.monotonic()))
    return samples


def grew(samples: Samples) -> tuple[float, float]:
    """MB along a line through the samples after the first fifth, and its standard error."""
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
    parser.add_argument("--proxy", choices=["haproxy", "python"], default="haproxy")
    asked = parser.parse_args()
    with (
        LocalCluster(**(serve_env() if asked.proxy == "haproxy" else proxy_env())) as cluster,
        tempfile.TemporaryDirectory() as folder,
    ):
        cluster.deploy(cluster.fixed(2))
        wait_until(lambda: len(cluster.replicas()) == 2, timeout_s=120, on_timeout=cluster.logs)
        picture, script = Path(folder) / "body", Path(folder) / "post.lua"
        picture.write_bytes(BODY.content)
        script.write_text(WRK_SCRIPT.replace("{content_type}", "image/png").replace("{body}", str(picture)))
        command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{round(asked.minutes * 60)}s", "-s", str(script)]
        pids = settled_pids(cluster)
        with Traffic(cluster.url, RATE) as traffic:
            wrk = subprocess.Popen([*command, f"{cluster.url}/predict"], stdout=subprocess.PIPE, text=True)
            samples = watch(cluster.port, pids, asked.minutes)
            output, _ = wrk.communicate(timeout=60)
    draw(samples)
    is_flat = True
    for name, series in samples.items():
        growth, error = grew(series)
        is_flat &= growth < max(GROWTH_MB, 3 * error)
        print(
            f"{name}: {series[-1][1]:.1f} MB at the end, grew {growth:+.2f} MB (standard error {error:.2f})"
        )
    print(output.strip().splitlines()[-1], "(requests, us, p50 us, p99 us, refused, lost: of wrk)")
    print(f"{len(traffic.outcomes)} requests of the golden 3, {len(traffic.failed)} failed")
    sys.exit(None if is_flat and not traffic.failed else "the promise is not kept")


if __name__ == "__main__":
    main()
