"""Workers that come and go: nodes of a real cluster are announced to leave, killed, and added."""

import signal
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from digits.training.checkpoints import read_begun
from testkit.cluster import LocalCluster, wait_until
from tests.nodes import add_node, kill_node
from tests.train.conftest import DEADLINE_S, Workplace
from tests.train.test_training import history, logged_steps, runs

SPOT, NEW = "127.0.0.2", "127.0.0.3"
NOTICE_S = 20
# Right after a loss Ray may still count on the lost node: it tries again after this time, 60 s by default.
RETRY_S = "10"
NODE_ID = """
import sys, ray
ray.init(logging_level="ERROR")
print(*(node["NodeID"] for node in ray.nodes() if node["NodeManagerAddress"] == sys.argv[1]))
"""


class SmallCluster(LocalCluster):
    cpus = 1


@dataclass(frozen=True)
class WorkplaceOnCluster(Workplace):
    cluster: LocalCluster

    @property
    def environment(self) -> dict[str, str]:
        of_cluster = {key: value for key, value in self.cluster.environment.items() if key.startswith("RAY_")}
        return super().environment | of_cluster | {"RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S": RETRY_S}


@pytest.fixture
def cluster() -> Iterator[LocalCluster]:
    """A head and another node, with one CPU each."""
    with SmallCluster() as cluster:
        add_node(cluster, SPOT)
        yield cluster


@pytest.mark.long
def test_a_lost_node_leaves_fewer_workers_and_a_new_one_more(tmp_path: Path, cluster: LocalCluster) -> None:
    """After a notice a checkpoint is written within the epoch; two workers become one, and two again.

    No epoch is missing in MLflow, and none is there twice.
    """
    workplace = WorkplaceOnCluster(tmp_path, cluster)
    folder = tmp_path / "out" / "ray" / "elastic"
    asked = {
        "epochs": "1000", "patience": "1000", "num_workers": "2", "min_workers": "1", "drawn": "0",
        "batch_size": "16", "name": "elastic",
    }  # fmt: skip

    def workers() -> list[int]:
        """Returns how many trained each epoch, in the order of epochs."""
        with suppress(ValueError):
            (run,) = runs(workplace)
            return [int(count) for _, count in sorted(history(workplace, run, "workers_in_step").items())]
        return []

    def is_begun() -> bool:
        for checkpoint in folder.glob("checkpoint_2*"):
            with suppress(OSError, ValueError):
                if read_begun(checkpoint):
                    return True
        return False

    process, output = workplace.start_until(lambda: len(logged_steps(workplace)) > 1, **asked)
    assert process.poll() is None, output()[-5000:]
    assert workers()[-1] == 2
    node = cluster.run("python", "-c", NODE_ID, SPOT).split()[-1]
    cluster.run(
        "ray", "drain-node", f"--node-id={node}", "--reason=DRAIN_NODE_REASON_PREEMPTION",
        "--reason-message=spot", f"--deadline-remaining-seconds={NOTICE_S}",
        f"--address={cluster.environment['RAY_ADDRESS']}",
    )  # fmt: skip
    wait_until(lambda: is_begun() or process.poll() is not None, DEADLINE_S)
    assert process.poll() is None, output()[-5000:]
    kill_node(cluster, SPOT)
    wait_until(lambda: workers()[-1] == 1 or process.poll() is not None, DEADLINE_S)
    assert process.poll() is None, output()[-5000:]
    add_node(cluster, NEW)
    wait_until(lambda: workers()[-1] == 2 or process.poll() is not None, DEADLINE_S)
    assert process.poll() is None, output()[-5000:]
    process.send_signal(signal.SIGINT)
    with suppress(subprocess.TimeoutExpired):
        process.wait(timeout=60)
    trained = logged_steps(workplace)
    assert trained == list(range(1, len(trained) + 1))
