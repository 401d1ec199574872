"""Steps that the tests of faults, nodes and clients share: steady traffic, kills, changed configurations."""

import os
import signal
from collections.abc import Callable
from typing import Any

import httpx2

from testkit.cluster import LocalCluster, deployment_of, wait_until
from testkit.traffic import Outcome, Traffic

RATE = 60  # requests a second
Figure = Callable[[str], None]


def wait_for(traffic: Traffic, seconds: float) -> float:
    """Returns the traffic's time after `seconds`, in which it goes on."""
    end = traffic.now + seconds
    wait_until(lambda: traffic.now >= end, timeout_s=seconds + 10)
    return traffic.now


def described(outcomes: list[Outcome]) -> str:
    """Returns the different answers among `outcomes`, for the message of an assertion."""
    return str(sorted({(outcome.status, outcome.text[:200]) for outcome in outcomes}))


def failed_of(traffic: Traffic) -> str:
    """Returns "N of M failed" for a figure."""
    return f"{len(traffic.failed)} of {len(traffic.outcomes):,} failed"


def last_failed_s(traffic: Traffic, since: float) -> float:
    """Returns the seconds from `since` to when the last failed request was due; all later ones succeeded."""
    return max((outcome.due for outcome in traffic.failed), default=since) - since


def kill(pids: list[int]) -> None:
    for pid in pids:
        os.kill(pid, signal.SIGKILL)


def kill_and_await_successor(cluster: LocalCluster, title: str) -> None:
    """Kills every process of the cluster with this title; returns once new ones have taken their place."""
    killed = cluster.pids(title)
    kill(killed)

    def is_replaced() -> bool:
        pids = cluster.pids(title)
        return bool(pids) and not set(pids) & set(killed)

    wait_until(is_replaced, timeout_s=60, on_timeout=cluster.logs)


def apply_when_possible(cluster: LocalCluster, config: dict[str, Any]) -> None:
    """Applies a configuration as soon as the dashboard takes it, which may take time after a fault."""

    def is_applied() -> bool:
        try:
            cluster.apply(config)
        except httpx2.HTTPError:
            return False
        return True

    wait_until(is_applied, timeout_s=60, on_timeout=cluster.logs)


def with_variables(config: dict[str, Any], **variables: str) -> dict[str, Any]:
    """Sets environment variables of the replicas; like a new image, a change replaces every replica."""
    deployment_of(config)["ray_actor_options"]["runtime_env"] = {"env_vars": variables}
    return config
