"""How many replicas and nodes a load takes, from what a request was measured to cost.

python -m benchmarks.capacity             # the table of docs/scaling.md, from docs/benchmarks/cost.json
python -m benchmarks.capacity --cores 64 --utilisation 0.5
"""

import argparse
import json
import math
from dataclasses import dataclass

from digits.inference.source import PROJECT

COSTS = PROJECT / "docs" / "benchmarks" / "cost.json"
LOADS = (1_000, 100_000, 10_000_000)  # requests a second
RESERVED_CORES = 1  # of each node: raylet, agents, HAProxyManager, the system
BYTES_IN, BYTES_OUT = 292 + 250, 252 + 200  # body and headers of a 28x28 PNG's request, and of its answer
HEALTH_CHECK_PERIOD_S = 5  # serve_config.yaml: how often the controller asks each replica


@dataclass(frozen=True)
class Need:
    load: int
    replicas: int
    nodes: int
    haproxy_cores: float  # of each node
    gbit_per_s: float  # over the network into and out of the cluster
    health_checks_per_s: float  # that the one controller makes


def need(load: int, costs: dict[str, float], cores: int, utilisation: float) -> Need:
    """`utilisation` is the share of its capacity that a replica is given; queues grow beyond 0.7 or so."""
    per_replica = costs["requests_per_s"] * utilisation
    replicas = math.ceil(load / per_replica)
    haproxy_cores_a_replica = per_replica * costs["haproxy_us"] / 1e6
    per_node = max(1, math.floor((cores - RESERVED_CORES) / (1 + haproxy_cores_a_replica)))
    return Need(
        load=load,
        replicas=replicas,
        nodes=math.ceil(replicas / per_node),
        haproxy_cores=min(per_node, replicas) * haproxy_cores_a_replica,
        gbit_per_s=load * (BYTES_IN + BYTES_OUT) * 8 / 1e9,
        health_checks_per_s=replicas / HEALTH_CHECK_PERIOD_S,
    )


def table(costs: dict[str, float], cores: int = 16, utilisation: float = 0.7) -> str:
    rows = [
        f"| {n.load:,} | {n.replicas:,} | {n.nodes:,} | {n.haproxy_cores:.1f} | {n.gbit_per_s:.3g} "
        f"| {n.health_checks_per_s:.3g} |"
        for n in (need(load, costs, cores, utilisation) for load in LOADS)
    ]
    head = [
        f"| requests/s | replicas | nodes of {cores} cores | HAProxy, cores a node | network, Gbit/s "
        "| health checks/s |",
        "|---|---|---|---|---|---|",
    ]
    return "\n".join([*head, *rows]) + "\n"


def breakdown(costs: dict[str, float]) -> str:
    """Where the CPU of one request goes; what is left of the replica is Ray and the HTTP server."""
    own = costs["app_us"] + costs["model_b_us"]
    rows = {
        "HAProxy": costs["haproxy_us"],
        "HTTP server and Ray Serve": costs["replica_us"] - own,
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
    parser.add_argument("--cores", type=int, default=16, help="of a node")
    parser.add_argument("--utilisation", type=float, default=0.7, help="share of a replica's capacity used")
    arguments = parser.parse_args()
    costs = json.loads(COSTS.read_text())
    print(breakdown(costs), table(costs, arguments.cores, arguments.utilisation), sep="\n", end="")


if __name__ == "__main__":
    main()
