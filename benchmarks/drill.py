"""Breaks one thing on purpose, in a separate service with two replicas, and prints what is seen.

    python -m benchmarks.drill NAME        (make drill NAME=...; without a name it lists them)

Each drill starts the service, sends requests at a steady rate, breaks one thing, and prints what clients and
operators see until the service has recovered. docs/runbook.md says which alert or code that is, and the fix.
The service has its own ports, so a service that runs on this machine is not affected.
"""

import argparse
import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable

import httpx2

from benchmarks.bodies import TELEPHONE, bodies
from benchmarks.chaos import longest_gap_s
from testkit.cluster import LocalCluster, deployment_of, serve_env, wait_until
from testkit.traffic import Traffic

REPLICAS, RATE = 2, 50
CALM_S = 2.0  # of traffic before the failure, and after the recovery
PHOTO_CLIENTS, PHOTO_S = 64, 15.0  # more photos at once than a second of decoding
LATE_S = 120.0
Say = Callable[[str], None]


def kill(cluster: LocalCluster, title: str, say: Say, *, most: int = 1) -> set[int]:
    """Kills processes of the cluster by a part of their title; returns them."""
    killed = cluster.pids(title)[:most]
    for pid in killed:
        os.kill(pid, signal.SIGKILL)
    say(f"kill -9 of {title}, {len(killed)} process{'es' * (len(killed) > 1)}")
    return set(killed)


def await_successor(cluster: LocalCluster, title: str, killed: set[int], count: int, say: Say) -> None:
    wait_until(lambda: len(set(cluster.pids(title)) - killed) >= count, LATE_S, cluster.logs)
    say(f"{title} runs again")


def replica(cluster: LocalCluster, say: Say) -> None:
    """One replica is killed: HAProxy retries its requests on the other one."""
    killed = kill(cluster, "ray::ServeReplica", say)
    await_successor(cluster, "ray::ServeReplica", killed, REPLICAS, say)
    cluster.wait_until_running_are(REPLICAS)


def replicas(cluster: LocalCluster, say: Say) -> None:
    """Both replicas are killed: accepted requests are lost, later ones wait, or get 429 or 503."""
    killed = kill(cluster, "ray::ServeReplica", say, most=REPLICAS)
    await_successor(cluster, "ray::ServeReplica", killed, REPLICAS, say)
    cluster.wait_until_running_are(REPLICAS)


def controller(cluster: LocalCluster, say: Say) -> None:
    """Ray Serve's controller is killed: replicas answer; until it is back, nothing is replaced or scaled."""
    killed = kill(cluster, "ray::ServeController", say)
    await_successor(cluster, "ray::ServeController", killed, 1, say)


def haproxy(cluster: LocalCluster, say: Say) -> None:
    """HAProxy is killed: no connection is accepted until Ray has started another one."""
    killed = kill(cluster, "bin/haproxy", say)
    await_successor(cluster, "bin/haproxy", killed, 1, say)
    wait_until(cluster.ready, LATE_S, cluster.logs)


def config(cluster: LocalCluster, say: Say) -> None:
    """A mistake in user_config is deployed: replicas keep the previous one, and /readyz says why."""
    wrong = cluster.fixed(REPLICAS)
    deployment_of(wrong)["user_config"]["max_batchsize"] = 8
    cluster.apply(wrong)
    wait_until(lambda: all(_warnings(cluster)), LATE_S, cluster.logs)
    say(f"GET /readyz: warning: {_warnings(cluster)[0]}")
    cluster.apply(cluster.fixed(REPLICAS))
    wait_until(lambda: not any(_warnings(cluster)), LATE_S, cluster.logs)
    say("the correct user_config is deployed: no warning")


def _warnings(cluster: LocalCluster) -> list[str | None]:
    """Returns the warnings in ten answers of /readyz, which come from both replicas."""
    return [(cluster.ready() or {}).get("warning") for _ in range(10)]


def overload(cluster: LocalCluster, say: Say) -> None:
    """More photos than two replicas can read: some get 429 with Retry-After, small pictures are answered."""
    photo = bodies()[TELEPHONE]
    headers = {"Content-Type": str(photo.content_type)}
    answers: Counter[str] = Counter()
    end = time.monotonic() + PHOTO_S

    def send() -> None:
        with httpx2.Client(timeout=LATE_S) as client:
            while time.monotonic() < end:
                answer = client.post(f"{cluster.url}/predict", content=photo.content, headers=headers)
                answers[f"{answer.status_code} {answer.json().get('code', '')}".strip()] += 1

    threads = [threading.Thread(target=send, daemon=True) for _ in range(PHOTO_CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(2 * LATE_S)
    say(f"{PHOTO_CLIENTS} clients sent photos for {PHOTO_S:g} s: {_counted(answers)}")


DRILLS: dict[str, Callable[[LocalCluster, Say], None]] = {
    one.__name__: one for one in (replica, replicas, controller, haproxy, config, overload)
}


def _counted(counts: Counter[str]) -> str:
    return ", ".join(f"{count:,} {what}" for what, count in counts.most_common())


def run(name: str) -> Traffic:
    """Runs a drill and prints its effects; returns the steady traffic with its outcomes."""
    print(f"{name}: {DRILLS[name].__doc__}")
    with LocalCluster(**serve_env()) as cluster:
        cluster.serve(cluster.fixed(REPLICAS), REPLICAS)
        with Traffic(cluster.url, RATE) as traffic:
            begin = time.monotonic()

            def say(line: str) -> None:
                print(f"{time.monotonic() - begin:6.1f} s  {line}", flush=True)

            say(f"two replicas answer {RATE} requests/s")
            time.sleep(CALM_S)
            DRILLS[name](cluster, say)
            time.sleep(CALM_S)
            end = traffic.now
    ways = Counter(f"{one.status or 'no answer'}" for one in traffic.failed)
    print(
        f"{len(traffic.failed)} of {len(traffic.outcomes):,} small requests failed"
        f"{': ' + _counted(ways) if ways else ''}; longest time without a correct answer "
        f"{longest_gap_s(traffic.outcomes, end):.1f} s"
    )
    return traffic


def main() -> None:
    listed = "\n".join(f"  {name:10}  {one.__doc__}" for name, one in DRILLS.items())
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=f"drills:\n{listed}", formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("name", nargs="?", choices=list(DRILLS))
    name = parser.parse_args().name
    if name is None:
        print(f"Choose one by `make drill NAME=...`:\n{listed}")
    else:
        run(name)


if __name__ == "__main__":
    main()
