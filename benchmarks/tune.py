"""Find the configuration with which this machine answers the most requests within a promised latency.

    python -m benchmarks.tune --slo-p99-ms 50

It tries the settings that matter one after another, each from the best of those before it: replicas,
threads of a replica, batch size, requests that run at once.  A configuration is worth the highest open-loop
rate at which 99 % of the answers come within the promise.  The best one is started afresh; what is promised
is the rate at which it kept the promise there, within a tenth.
"""

import argparse
import datetime
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml
from tqdm import tqdm

from benchmarks.load import Open, closed_loop, open_loop
from digits.vision.golden import golden_digits
from testkit.cluster import LocalCluster, serve_env, wait_until
from testkit.encodings import image_file

CORES = os.cpu_count() or 1
PICTURE = image_file(golden_digits()[0][7])
SECONDS = 2
PROBES = 5  # halvings of the range of rates: good to 3 %
KEPT = 0.75  # share of the rate found that is promised: that one is the edge, beyond which queues grow
LOWERED, GIVEN_UP = 0.85, 0.3  # by this factor each time; below this share of the rate found
TOLERANCE = 1.1  # of the promised latency, when the promise is checked


@dataclass(frozen=True)
class Choice:
    replicas: int = 1
    threads: int = 1
    batch: int = 64
    ongoing: int = 256

    def valid(self) -> bool:
        return self.replicas * self.threads <= CORES and self.ongoing >= 2 * self.batch

    def config(self, cluster: LocalCluster, queued: int) -> dict[str, Any]:
        config = cluster.config(max_batch_size=self.batch)
        deployment = config["applications"][0]["deployments"][0]
        del deployment["autoscaling_config"]
        deployment |= {"num_replicas": self.replicas, "max_ongoing_requests": self.ongoing}
        deployment["max_queued_requests"] = queued
        deployment["ray_actor_options"]["num_cpus"] = self.threads
        return config


@dataclass(frozen=True)
class Measured:
    choice: Choice
    rate: float  # requests a second within the promise; 0: not one
    capacity: float  # in a closed loop


# Each axis is searched from the best choice so far: (what it is called, the values to try).
AXES: dict[str, tuple[int, ...]] = {
    "replicas": tuple(range(1, CORES + 1)),
    "threads": tuple(range(1, CORES + 1)),
    "batch": (8, 16, 32, 64, 128),
    "ongoing": (64, 128, 256, 512),
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--slo-p99-ms", type=float, required=True, help="99 %% of answers within so many ms")
    parser.add_argument("--output", type=Path, default=Path("out/tuned"), help="folder for the result")
    arguments = parser.parse_args()
    if arguments.slo_p99_ms <= 0:
        parser.error(f"--slo-p99-ms must be more than 0, not {arguments.slo_p99_ms:g}")
    with LocalCluster(**serve_env()) as cluster:
        tried = list(tqdm(search(cluster, arguments.slo_p99_ms), total=steps(), unit="configuration"))
    best = max(tried, key=lambda measured: measured.rate)
    if not best.rate:
        sys.exit(f"no configuration answers within {arguments.slo_p99_ms:g} ms on this machine")
    promised, kept, config = confirm(best, arguments.slo_p99_ms)
    report(arguments.output, arguments.slo_p99_ms, tried, best, promised, kept, config)
    if not is_kept(kept, promised, arguments.slo_p99_ms):
        sys.exit("no promise was kept in a fresh run: the machine is too busy, or the promise too strict")


def confirm(best: Measured, slo_ms: float) -> tuple[float, Open, dict[str, Any]]:
    """A fresh run of the best configuration, its rate lowered until the promise is kept there, or given up.

    The search takes the best of many short measurements, and so one that luck has favoured.
    """
    with LocalCluster(**serve_env()) as cluster:
        promised = KEPT * best.rate
        while True:
            # Whoever queues behind this many is answered within the promise, or refused at once.
            config = best.choice.config(cluster, queued=max(1, round(promised * slo_ms / 1000)))
            deploy(cluster, config)
            kept = open_loop(f"{cluster.url}/predict", PICTURE, "image/png", promised, 3 * SECONDS)
            if is_kept(kept, promised, slo_ms) or promised < GIVEN_UP * best.rate:
                return promised, kept, config
            promised *= LOWERED


def steps() -> int:
    return sum(map(len, AXES.values()))


def search(cluster: LocalCluster, slo_ms: float) -> Iterator[Measured]:
    best = Measured(Choice(), -1, 0)
    seen: dict[Choice, Measured] = {}
    for axis, values in AXES.items():
        start = best.choice
        for value in values:
            choice = replace(start, **{axis: value})
            if choice.valid() and choice not in seen:
                seen[choice] = measure(cluster, choice, slo_ms)
                best = max(best, seen[choice], key=lambda measured: measured.rate)
            yield seen.get(choice, Measured(choice, 0, 0))


def measure(cluster: LocalCluster, choice: Choice, slo_ms: float) -> Measured:
    deploy(cluster, choice.config(cluster, queued=-1))
    url = f"{cluster.url}/predict"
    capacity = max(
        closed_loop(url, PICTURE, "image/png", connections, SECONDS).rate for connections in (16, 64)
    )
    low, high = 0.0, capacity
    for _ in range(PROBES):
        rate = (low + high) / 2
        if within(open_loop(url, PICTURE, "image/png", rate, SECONDS), rate, slo_ms):
            low = rate
        else:
            high = rate
    return Measured(choice, low, capacity)


def within(seen: Open, rate: float, slo_ms: float) -> bool:
    return seen.p99_ms is not None and seen.p99_ms <= slo_ms and seen.accepted >= 0.98 * rate


def is_kept(kept: Open, promised: float, slo_ms: float) -> bool:
    return within(kept, promised, TOLERANCE * slo_ms)


def deploy(cluster: LocalCluster, config: dict[str, Any]) -> None:
    cluster.deploy(config)
    wanted = config["applications"][0]["deployments"][0]["num_replicas"]
    wait_until(lambda: len(cluster.replicas()) == wanted, timeout_s=90, on_timeout=cluster.logs)
    wait_until(cluster.ready, timeout_s=30, on_timeout=cluster.logs)
    closed_loop(f"{cluster.url}/predict", PICTURE, "image/png", 16, 1)  # its first requests are slow


def report(
    folder: Path, slo_ms: float, tried: list[Measured], best: Measured, promised: float, kept: Open,
    config: dict[str, Any],
) -> None:  # fmt: skip
    folder.mkdir(parents=True, exist_ok=True)
    config["http_options"]["port"] = 8000
    (folder / "serve_config.yaml").write_text(yaml.safe_dump(config, sort_keys=False))
    rows = [
        f"| {m.choice.replicas} | {m.choice.threads} | {m.choice.batch} | {m.choice.ongoing} "
        f"| {m.rate:.0f} | {m.capacity:.0f} |{' **chosen**' if m == best else ''} |"
        for m in dict.fromkeys(tried)
        if m.capacity
    ]
    verdict = "kept" if is_kept(kept, promised, slo_ms) else "not kept"
    lines = [
        f"# Tuned for a p99 of {slo_ms:g} ms", "",
        f"{datetime.date.today()}, {CORES} cores, `python -m benchmarks.tune --slo-p99-ms {slo_ms:g}`.", "",
        f"Promise: {promised:.0f} requests/s of one image each, 99 % within {slo_ms:g} ms. In a fresh run of "
        f"{kept.sent:.0f} requests/s {kept.accepted:.0f} were answered, p50 {kept.p50_ms or 0:.1f} ms, p99 "
        f"{kept.p99_ms or 0:.1f} ms: {verdict}. Use it: `serve run {folder}/serve_config.yaml`.", "",
        "| replicas | threads | batch size | at once | requests/s within the promise | capacity | |",
        "|---|---|---|---|---|---|---|", *rows, "",
    ]  # fmt: skip
    (folder / "report.md").write_text("\n".join(lines))
    print("\n".join(lines))


if __name__ == "__main__":
    main()
