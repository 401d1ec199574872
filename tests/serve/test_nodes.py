"""A cluster of two nodes on this machine with Redis behind the GCS: the GCS is killed, then a whole node."""

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from testkit.cluster import ENVIRONMENTS, LocalCluster, deployment_of, wait_until
from testkit.ports import free_port
from testkit.traffic import Traffic
from tests.nodes import add_node, kill_node
from tests.programs import require_program
from tests.serve.under_load import RATE, Figure, apply_when_possible, described, failed_of, wait_for

WORKER_IP = "127.0.0.2"
pytestmark = pytest.mark.long_behind_rays_proxy


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of an empty Redis."""
    require_program("redis-server", "redis-server")
    port = free_port()
    command = ["redis-server", "--bind", "127.0.0.1", "--port", str(port), "--save", ""]
    server = subprocess.Popen(command, cwd=tmp_path_factory.mktemp("redis"), stdout=subprocess.DEVNULL)
    yield f"127.0.0.1:{port}"
    server.kill()
    server.wait()


@pytest.fixture(scope="module", params=ENVIRONMENTS)
def pair(request: pytest.FixtureRequest, redis: str) -> Iterator[LocalCluster]:
    """A head and a worker node, and one replica on the head."""
    environment = ENVIRONMENTS[request.param]()
    storage = {"RAY_REDIS_ADDRESS": redis, "RAY_external_storage_namespace": request.param}
    with LocalCluster(**environment, **storage) as cluster:
        add_node(cluster, WORKER_IP)
        spread(cluster, replicas=1)
        wait_until(cluster.ready, timeout_s=30, on_timeout=cluster.logs)
        yield cluster


def spread(cluster: LocalCluster, replicas: int) -> None:
    """Places one replica on each node; all requests arrive at the head."""
    config = cluster.fixed(replicas)
    config["http_options"]["host"] = "0.0.0.0"  # HAProxy on the head must reach the other node's replica
    config["proxy_location"] = "HeadOnly"
    deployment_of(config)["max_replicas_per_node"] = 1
    apply_when_possible(cluster, config)
    cluster.wait_until_running_are(replicas, timeout_s=90)


def test_a_gcs_restarted_over_redis_fails_no_request(pair: LocalCluster, figure: Figure) -> None:
    """It is killed, restarted after 3 s, and then the deployment scales."""
    (gcs,) = pair.pids("gcs_server")
    command = Path(f"/proc/{gcs}/cmdline").read_bytes().split(b"\0")[:-1]
    variables = Path(f"/proc/{gcs}/environ").read_bytes().split(b"\0")[:-1]
    with Traffic(pair.url, RATE) as traffic:
        wait_for(traffic, 1)
        os.kill(gcs, signal.SIGKILL)
        at = wait_for(traffic, 3)
        subprocess.Popen(  # as the supervisor of the head's container does
            command, env=dict(variable.split(b"=", 1) for variable in variables),
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
        spread(pair, replicas=2)
        scaled_s = traffic.now - at
        wait_for(traffic, 1)
    figure(
        f"{failed_of(traffic)} in 3 s without GCS and after; "
        f"a second replica {scaled_s:.1f} s after its restart"
    )
    assert traffic.failed == [], described(traffic.failed)


def test_a_lost_node_fails_no_request_with_one_retry(pair: LocalCluster, figure: Figure) -> None:
    """All processes of the worker node are killed at once."""
    spread(pair, replicas=2)
    with Traffic(pair.url, RATE, retries=1) as traffic:
        wait_for(traffic, 2)
        replicas = pair.running(2) or []
        killed = kill_node(pair, WORKER_IP)
        at = traffic.now
        assert len(set(killed) & set(replicas)) == 1
        wait_for(traffic, 12)
    retried = [outcome for outcome in traffic.outcomes if outcome.tries > 1]
    last_s = max((outcome.due for outcome in retried), default=at) - at
    figure(
        f"{failed_of(traffic)}, {len(retried)} retried, the last one due {last_s:.1f} s after the loss; "
        f"slowest answer {max(o.seconds for o in traffic.outcomes):.1f} s"
    )
    assert traffic.failed == [], described(traffic.failed)
