"""Steady traffic while replicas and the controller are killed again and again.

    python -m benchmarks.chaos --minutes 10 --every-s 2 [--proxy rays-proxy]

Exits with 1 unless 99.9 % of the requests are answered correctly, with at most one retry each, and the
longest time without a correct answer is below two seconds.
"""

import argparse
import os
import random
import signal
import sys
import time
from collections import Counter
from contextlib import suppress
from itertools import pairwise

from tqdm import tqdm

from testkit.cluster import ENVIRONMENTS, LocalCluster
from testkit.traffic import Outcome, Traffic

REPLICAS, RATE = 4, 50
SUCCESS, DEAD_S = 0.999, 2.0


def longest_gap_s(outcomes: list[Outcome], end: float) -> float:
    """Returns the longest time without a correct answer, from the first request to `end`."""
    answers = sorted(outcome.due + outcome.seconds for outcome in outcomes if outcome.is_right)
    return max(after - before for before, after in pairwise([0.0, *answers, end]))


def kill_one(cluster: LocalCluster, chance: random.Random) -> str:
    """Kills a random replica or the controller, and returns which kind; "none" while it still restarts."""
    (kind,) = chance.choices(["ServeReplica", "ServeController"], weights=[REPLICAS, 1])
    if not (alive := cluster.pids(f"ray::{kind}")):
        return "none"
    with suppress(ProcessLookupError):
        os.kill(chance.choice(alive), signal.SIGKILL)
    return kind


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--every-s", type=float, default=2, help="seconds between two kills")
    parser.add_argument("--proxy", choices=list(ENVIRONMENTS), default="haproxy")
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    chance, killed = random.Random(asked.seed), Counter[str]()
    with LocalCluster(**ENVIRONMENTS[asked.proxy]()) as cluster:
        cluster.serve(cluster.fixed(REPLICAS), REPLICAS)
        with Traffic(cluster.url, RATE, retries=1) as traffic:
            for number in tqdm(range(round(asked.minutes * 60 / asked.every_s)), unit="kill"):
                time.sleep(max(0.0, (number + 1) * asked.every_s - traffic.now))
                killed[kill_one(cluster, chance)] += 1
            end = traffic.now
    right = 1 - len(traffic.failed) / len(traffic.outcomes)
    gap_s = longest_gap_s(traffic.outcomes, end)
    ways = Counter((outcome.status, outcome.text[:60]) for outcome in traffic.failed)
    print("killed: " + ", ".join(f"{count} {kind}" for kind, count in killed.most_common()))
    print(
        f"{len(traffic.outcomes)} requests, {right:.4%} answered correctly, {len(traffic.failed)} failed, "
        f"{sum(outcome.tries > 1 for outcome in traffic.outcomes)} retried"
    )
    for (status, text), count in ways.most_common():
        print(f"{count} failed with status {status}: {text}")
    print(f"longest time without a correct answer: {gap_s:.2f} s")
    sys.exit(None if right >= SUCCESS and gap_s < DEAD_S else "FAILED: too many errors or too long a gap")


if __name__ == "__main__":
    main()
