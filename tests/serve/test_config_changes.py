"""A mistake in the configuration of a running service: what answers stays, and the reason is reported."""

from typing import Any

import httpx2
import pytest

from testkit.cluster import LocalCluster, deployment_of, wait_until
from testkit.traffic import Traffic
from tests.serve.under_load import RATE, Figure, described, failed_of, wait_for

Config = dict[str, Any]
# Changes of user_config, each with the reason that is reported.
MISTAKES: dict[str, tuple[Config, str]] = {
    "unknown key": ({"max_batchsize": 8}, "'max_batchsize'; the nearest known one is 'max_batch_size'"),
    "no model": ({"model_uri": None}, "model_uri: Input should be a valid string, not None"),
    "no batch": ({"max_batch_size": 0}, "max_batch_size: Input should be greater than or equal to 1, not 0"),
    "a folder that is not there": ({"model_uri": "models/none"}, "no manifest.json in"),
}  # fmt: skip


def with_mistake(config: Config, change: Config) -> Config:
    deployment_of(config)["user_config"] |= change
    return config


def gauge(cluster: LocalCluster, name: str) -> list[float]:
    """Returns the value of each replica."""
    lines = httpx2.get(cluster.metrics_url, timeout=10).text.splitlines()
    return sorted(float(line.split()[-1]) for line in lines if line.startswith(f"ray_{name}{{"))


def wait_for_warning(cluster: LocalCluster, reason: str | None) -> None:
    """Returns once each of ten answers of /readyz in a row, from any replica, has the reason."""

    def is_there() -> bool:
        answers = [cluster.ready() for _ in range(10)]
        warnings = [answer["warning"] for answer in answers if answer]
        return len(warnings) == 10 and all(
            reason in (one or "") if reason else one is None for one in warnings
        )

    wait_until(is_there, timeout_s=30, on_timeout=lambda: f"{cluster.ready()} {cluster.logs()}")


@pytest.mark.essential
def test_a_mistake_in_user_config_fails_no_request(cluster: LocalCluster, figure: Figure) -> None:
    """Each replica keeps its settings, and says why in /readyz, log and metric; a good deploy is applied."""
    cluster.serve(cluster.fixed(2), replicas=2)
    replicas = cluster.wait_until_running_are(2)
    with Traffic(cluster.url, RATE) as traffic:
        cluster.deploy(with_mistake(cluster.fixed(2), {"max_batchsize": 8}))
        for change, reason in MISTAKES.values():
            cluster.apply(with_mistake(cluster.fixed(2), change))
            wait_for_warning(cluster, reason)
            wait_until(lambda: cluster.logs().count(reason) >= 2, timeout_s=30, on_timeout=cluster.logs)  # noqa: B023
        wait_until(lambda: gauge(cluster, "digits_config_rejected")[-2:] == [1, 1], timeout_s=30)
        cluster.wait_until_running()
        assert cluster.running(2) == replicas
        cluster.apply(with_mistake(cluster.fixed(2), {"max_batch_size": 32}))
        wait_for_warning(cluster, None)
        wait_until(lambda: 1 not in gauge(cluster, "digits_config_rejected"), timeout_s=30)
        assert cluster.running(2) == replicas
    figure(f"{failed_of(traffic)} over {len(MISTAKES)} mistakes")
    assert traffic.failed == [], described(traffic.failed)


@pytest.mark.long_behind_rays_proxy
def test_a_replica_that_starts_by_a_mistake_harms_no_other(cluster: LocalCluster, figure: Figure) -> None:
    """It does not start, `serve status` says why, and the others answer; a good deploy starts it."""
    cluster.serve(cluster.fixed(1), replicas=1)
    (replica,) = cluster.wait_until_running_are(1)
    with Traffic(cluster.url, RATE) as traffic:
        cluster.apply(with_mistake(cluster.fixed(1), {"max_batchsize": 8}))
        wait_for_warning(cluster, "max_batchsize")
        cluster.apply(with_mistake(cluster.fixed(2), {"max_batchsize": 8}))
        start = traffic.now
        wait_until(lambda: "'max_batchsize'" in cluster.run("serve", "status"), 90, cluster.logs)
        seen_s = traffic.now - start
        wait_for(traffic, 30)  # four further starts that fail
        assert replica in cluster.replica_pids()
        assert "'max_batchsize'" in cluster.run("serve", "status")
        start = traffic.now
        cluster.apply(cluster.fixed(2))
        assert replica in cluster.wait_until_running_are(2, timeout_s=90)
        good_s = traffic.now - start
        wait_for_warning(cluster, None)
    figure(
        f"{failed_of(traffic)}; `serve status` said why after {seen_s:.0f} s, "
        f"two replicas {good_s:.0f} s after the good deploy"
    )
    assert traffic.failed == [], described(traffic.failed)
