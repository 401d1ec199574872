"""Measures the service above its capacity: `python -m benchmarks.overload`

It measures the capacity of one replica for each body, then sends three times as much for SECONDS: photos,
drawings, and a mix of all bodies. Then it measures the latency of small pictures, alone and while photos
saturate the replica. Finally it sends photos at twice the capacity until autoscaling has started a second
replica. Needs wrk and h2load.
"""

import argparse
import json
import math
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tqdm import tqdm

from benchmarks.bodies import DRAWING, SMALL, TELEPHONE, bodies
from benchmarks.circumstances import circumstances
from benchmarks.tables import number, table
from digits.inference.source import PROJECT
from testkit.cluster import LocalCluster, serve_env
from testkit.encodings import Body
from testkit.load import Open, closed_loop, open_loop

OUTPUT = PROJECT / "docs" / "benchmarks" / "overload.json"
SECONDS = 15
CONNECTIONS = 16  # of the closed loops
TIMES = 3  # the capacity
WAITS_AT_MOST_S = 3.0  # an accepted request; decides how many connections an open loop needs
SCALING_S = 40  # time for autoscaling to start a second replica
BESIDE_RATE = 50  # small pictures a second beside photos


@dataclass(frozen=True)
class Overload:
    name: str
    rate: float  # requests due a second
    statuses: dict[str, int]
    lost: int
    accepted_p99_s: float | None
    slowest_s: dict[str, float]  # by status


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", type=Path, default=OUTPUT, help="file for the figures")
    arguments = parser.parse_args()
    with LocalCluster(**serve_env()) as cluster:
        cluster.serve(cluster.fixed(1), replicas=1)
        url = f"{cluster.url}/predict"
        capacity = {
            name: closed_loop(url, [body], CONNECTIONS, 6).rate
            for name, body in tqdm(bodies().items(), unit="body", desc="capacity")
        }
        # In the mix, each body gets the same share of the replica's time.
        mixed = {name: rate / len(capacity) for name, rate in capacity.items()}
        found = [
            overload(url, name, {body: TIMES * rate for body, rate in rates.items()})
            for name, rates in (
                ("photos", {TELEPHONE: capacity[TELEPHONE]}),
                ("drawings", {DRAWING: capacity[DRAWING]}),
                ("mix", mixed),
            )
        ]
        beside = beside_photos(url)
        second_s = second_replica(cluster, 2 * capacity[TELEPHONE])
    figures = circumstances([]) | {
        "capacity": capacity,
        "overload": [asdict(one) for one in found],
        "beside_photos": beside,
        "second_replica_s": second_s,
    }
    arguments.json.write_text(json.dumps(figures, indent=1) + "\n")
    print(overload_table(figures), end="")
    print(f"28x28 PNG at {BESIDE_RATE}/s: {beside}")
    print(f"a second replica {second_s:.1f} s after the first of twice as many photos as one can read")


def overload(url: str, name: str, rates: dict[str, float]) -> Overload:
    """Sends each body at its rate, all at the same time."""
    runs = _together(url, rates)
    statuses: Counter[str] = Counter()
    slowest: dict[str, float] = {}
    for run in runs:
        statuses.update(run.statuses)
        for status, milliseconds in run.slowest_ms.items():
            slowest[status] = max(slowest.get(status, 0.0), milliseconds / 1000)
    accepted = [run.p99_ms for run in runs if run.p99_ms is not None]
    return Overload(
        name=name,
        rate=sum(rates.values()),
        statuses=dict(statuses),
        lost=sum(run.lost for run in runs),
        accepted_p99_s=max(accepted) / 1000 if accepted else None,
        slowest_s=slowest,
    )


def beside_photos(url: str) -> dict[str, float | None]:
    """Returns the p99 in ms of small pictures at a low rate, alone and while photos saturate the replica."""
    small, photo = bodies()[SMALL], bodies()[TELEPHONE]
    alone = _open(url, small, BESIDE_RATE)
    with ThreadPoolExecutor(1) as threads:
        photos = threads.submit(closed_loop, url, [photo], CONNECTIONS, SECONDS + 6)
        beside = _open(url, small, BESIDE_RATE)
        rate = photos.result().rate
    return {"alone_p99_ms": alone.p99_ms, "beside_p99_ms": beside.p99_ms, "photos_per_s": rate}


def second_replica(cluster: LocalCluster, rate: float) -> float:
    """Returns the seconds from the first photo until autoscaling has a second replica running."""
    cluster.serve(cluster.config(), replicas=1)
    with ThreadPoolExecutor(1) as threads:
        began = time.monotonic()
        load = threads.submit(_open, f"{cluster.url}/predict", bodies()[TELEPHONE], rate, SCALING_S)
        cluster.wait_until_running_are(2, timeout_s=SCALING_S)
        seconds = time.monotonic() - began
        load.result()
    return seconds


def overload_table(figures: dict[str, Any]) -> str:
    """Returns the table of docs/benchmarks.md."""
    rows = []
    for row in figures["overload"]:
        others = sum(count for status, count in row["statuses"].items() if status not in ("200", "429"))
        rows.append([
            f"{TIMES} times the capacity in {row['name']}", number(row["rate"]),
            *(f"{row['statuses'].get(status, 0):,}" for status in ("200", "429")), others + row["lost"],
            *(f"{row['slowest_s'].get(status, 0):.2f}" for status in ("200", "429")),
        ])  # fmt: skip
    head = ["", "requests/s", "200", "429", "other or lost", "slowest 200, s", "slowest 429, s"]
    return table(head, rows) + "\n"


def _together(url: str, rates: dict[str, float]) -> list[Open]:
    with ThreadPoolExecutor(len(rates)) as threads:
        return list(threads.map(lambda item: _open(url, bodies()[item[0]], item[1]), rates.items()))


def _open(url: str, body: Body, rate: float, seconds: float = SECONDS) -> Open:
    connections = max(32, min(1024, math.ceil(rate * WAITS_AT_MOST_S)))
    return open_loop(url, body, rate, seconds, connections)


if __name__ == "__main__":
    main()
