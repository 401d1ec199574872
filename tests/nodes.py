"""Nodes of a LocalCluster beside its head: added, and killed with all their processes."""

import os
import signal
from contextlib import suppress
from pathlib import Path

from testkit.cluster import LocalCluster
from testkit.ports import free_port


def add_node(cluster: LocalCluster, ip: str) -> None:
    """Starts a node of one CPU with an address of its own on loopback."""
    cluster.run(
        "ray", "start", f"--address={cluster.environment['RAY_ADDRESS']}", "--num-cpus=1",
        f"--node-ip-address={ip}", f"--dashboard-agent-listen-port={free_port()}",
        f"--metrics-export-port={free_port()}", "--disable-usage-stats",
    )  # fmt: skip


def kill_node(cluster: LocalCluster, ip: str) -> list[int]:
    """Kills a node's raylet and all its descendants; returns their pids."""
    mark = f"--node_ip_address={ip}".encode()
    (raylet,) = [pid for pid in cluster.pids("raylet") if mark in Path(f"/proc/{pid}/cmdline").read_bytes()]
    tree, found = _children(), [raylet]
    for pid in found:
        found += tree.get(pid, [])
    for pid in found:
        with suppress(ProcessLookupError):  # it has ended with its parent
            os.kill(pid, signal.SIGKILL)
    return found


def _children() -> dict[int, list[int]]:
    """Returns the child processes of every process of this machine."""
    found: dict[int, list[int]] = {}
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it has ended meanwhile
            parent = int((process / "stat").read_text().rpartition(")")[2].split()[1])
            found.setdefault(parent, []).append(int(process.name))
    return found
