"""What happens beyond the capacity: `python -m benchmarks.overload`

Measures the capacity of one replica for each body, then sends three times as much for SECONDS: photos,
drawings, and a mix of all bodies.  Then the latency of small pictures, alone and beside photos that saturate
the replica.  Needs wrk and h2load.
"""

import argparse
import json
import math
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

from benchmarks.bodies import bodies
from testkit.cluster import LocalCluster, serve_env
from testkit.encodings import Body
from testkit.load import Open, closed_loop, open_loop

SECONDS = 15
CONNECTIONS = 16  # of the closed loops
TIMES = 3  # the capacity
WAITS_AT_MOST_S = 3.0  # an accepted request: connections that an open loop needs
BESIDE_RATE = 50  # small pictures a second beside photos
SMALL, PHOTO, DRAWING = "28x28 PNG", "12-megapixel photo", "280x280 canvas"


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
    parser.add_argument("--json", type=Path, help="file for the figures")
    arguments = parser.parse_args()
    with LocalCluster(**serve_env()) as cluster:
        cluster.serve(cluster.fixed(1), replicas=1)
        url = f"{cluster.url}/predict"
        capacity = {
            name: closed_loop(url, body.content, body.content_type or "", CONNECTIONS, 6).rate
            for name, body in tqdm(bodies().items(), unit="body", desc="capacity")
        }
        for name, rate in capacity.items():
            print(f"capacity {name}: {rate:,.0f} requests/s")
        # Of a mix, each body gets the same share of the replica's time.
        mix = {name: rate / len(capacity) for name, rate in capacity.items()}
        found = [
            overload(url, name, {body: TIMES * rate for body, rate in rates.items()})
            for name, rates in (
                ("photos", {PHOTO: capacity[PHOTO]}),
                ("drawings", {DRAWING: capacity[DRAWING]}),
                ("mix", mix),
            )
        ]
        for one in found:
            print(one)
        beside = beside_photos(url)
        print(f"28x28 PNG at {BESIDE_RATE}/s: {beside}")
    if arguments.json:
        figures = {"capacity": capacity, "overload": [vars(one) for one in found], "beside_photos": beside}
        arguments.json.write_text(json.dumps(figures, indent=1))


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
    small, photo = bodies()[SMALL], bodies()[PHOTO]
    alone = _open(url, small, BESIDE_RATE)
    with ThreadPoolExecutor(1) as threads:
        photos = threads.submit(
            closed_loop, url, photo.content, photo.content_type or "", CONNECTIONS, SECONDS + 6
        )
        beside = _open(url, small, BESIDE_RATE)
        rate = photos.result().rate
    return {"alone_p99_ms": alone.p99_ms, "beside_p99_ms": beside.p99_ms, "photos_per_s": rate}


def _together(url: str, rates: dict[str, float]) -> list[Open]:
    with ThreadPoolExecutor(len(rates)) as threads:
        return list(threads.map(lambda item: _open(url, bodies()[item[0]], item[1]), rates.items()))


def _open(url: str, body: Body, rate: float) -> Open:
    connections = max(32, min(1024, math.ceil(rate * WAITS_AT_MOST_S)))
    return open_loop(url, body.content, body.content_type or "", rate, SECONDS, connections)


if __name__ == "__main__":
    main()
