"""Computes the replicas and nodes that a load needs from the measured cost of a request.

python -m benchmarks.capacity             # the tables of docs/scaling.md, from docs/benchmarks/cost.json
python -m benchmarks.capacity --cores 64 --utilisation 0.5
"""

import argparse
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from benchmarks.bodies import SMALL
from digits.inference.source import PROJECT

Costs = Mapping[str, Any]  # what benchmarks.cost writes

COSTS = PROJECT / "docs" / "benchmarks" / "cost.json"
LOADS = (1_000, 100_000, 10_000_000)  # requests per second
RESERVED_CORES = 1  # of each node, for the raylet, the agents, HAProxyManager and the system
HEADERS, ANSWER = 250, 252 + 200  # bytes of a request's headers, and of an answer with its headers
BODY_LOAD = 100  # requests per second in the table of bodies


def health_check_period_s() -> float:
    """Returns how often the controller checks each replica, as serve_config.yaml sets it."""
    config = yaml.safe_load((PROJECT / "serve_config.yaml").read_text())
    return float(config["applications"][0]["deployments"][0]["health_check_period_s"])


@dataclass(frozen=True)
class Need:
    load: int
    replicas: int
    nodes: int
    haproxy_cores: float  # used by HAProxy on each node
    gbit_per_s: float  # into and out of the cluster, together
    health_checks_per_s: float  # made by the one controller


def need(load: int, costs: Mapping[str, float], cores: int, utilisation: float) -> Need:
    """Returns what `load` requests per second need when each replica runs at `utilisation` of its capacity.

    `costs` are those of one body.  Queues grow fast above 0.7 or so.
    """
    per_replica = costs["requests_per_s"] * utilisation
    replicas = math.ceil(load / per_replica)
    haproxy_cores_a_replica = per_replica * costs["haproxy_us"] / 1e6
    per_node = max(1, math.floor((cores - RESERVED_CORES) / (1 + haproxy_cores_a_replica)))
    return Need(
        load=load,
        replicas=replicas,
        nodes=math.ceil(replicas / per_node),
        haproxy_cores=min(per_node, replicas) * haproxy_cores_a_replica,
        gbit_per_s=load * (costs["bytes"] + HEADERS + ANSWER) * 8 / 1e9,
        health_checks_per_s=replicas / health_check_period_s(),
    )


def table(costs: Costs, cores: int = 16, utilisation: float = 0.7) -> str:
    """Returns the rows of docs/scaling.md, one for each of LOADS, of 28x28 PNGs."""
    rows = [
        f"| {n.load:,} | {n.replicas:,} | {n.nodes:,} | {n.haproxy_cores:.1f} | {n.gbit_per_s:.3g} "
        f"| {n.health_checks_per_s:.3g} |"
        for n in (need(load, costs["bodies"][SMALL], cores, utilisation) for load in LOADS)
    ]
    head = [
        f"| requests/s | replicas | nodes of {cores} cores | HAProxy, cores a node | network, Gbit/s "
        "| health checks/s |",
        "|---|---|---|---|---|---|",
    ]
    return "\n".join([*head, *rows]) + "\n"


def bodies_table(costs: Costs, cores: int = 16, utilisation: float = 0.7) -> str:
    """Returns what BODY_LOAD requests a second need, by what clients send."""
    rows = []
    for name, body in costs["bodies"].items():
        n = need(BODY_LOAD, body, cores, utilisation)
        rows.append(
            f"| {name} | {body['bytes'] / 1000:,.1f} | {body['replica_us'] / 1000:.2g} "
            f"| {body['haproxy_us'] / 1000:.2g} | {body['requests_per_s']:,.0f} "
            f"| {n.replicas} | {n.gbit_per_s:.2g} |"
        )
    head = [
        f"| body | kB | replica, ms of CPU | HAProxy, ms of CPU | requests/s of a replica "
        f"| replicas for {BODY_LOAD}/s | network, Gbit/s |",
        "|---|---|---|---|---|---|---|",
    ]
    return "\n".join([*head, *rows]) + "\n"


def breakdown(costs: Costs) -> str:
    """Returns the CPU time of one request with a 28x28 PNG, by component.

    The time of the replica that is neither ours nor the model's is that of the HTTP server and Ray Serve.
    """
    own, small = costs["app_us"] + costs["model_b_us"], costs["bodies"][SMALL]
    rows = {
        "HAProxy": small["haproxy_us"],
        "HTTP server and Ray Serve": small["replica_us"] - own,
        "decoding and preprocessing": costs["decode_us"],
        "routing, queue, JSON": costs["app_us"] - costs["decode_us"],
        "model, in a batch": costs["model_b_us"],
    }
    lines = [f"| {what} | {spent:.0f} | {spent / sum(rows.values()):.0%} |" for what, spent in rows.items()]
    return "\n".join(["| what | CPU, us | share |", "|---|---|---|", *lines]) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cores", type=int, default=16, help="cores of a node")
    parser.add_argument("--utilisation", type=float, default=0.7, help="used share of a replica's capacity")
    arguments = parser.parse_args()
    costs = json.loads(COSTS.read_text())
    size = arguments.cores, arguments.utilisation
    print(breakdown(costs), table(costs, *size), bodies_table(costs, *size), sep="\n", end="")


if __name__ == "__main__":
    main()
