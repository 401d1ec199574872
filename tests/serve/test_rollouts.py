"""A new release of the only replica under steady traffic, and one that fails to start."""

import shutil
from pathlib import Path

import pytest

from digits.inference.source import PROJECT
from digits.models.manifest import ONNX_FILE
from testkit.cluster import LocalCluster, deployment_of, wait_until
from testkit.traffic import Traffic
from tests.serve.under_load import RATE, Figure, described, failed_of, wait_for, with_variables


@pytest.fixture
def one(cluster: LocalCluster) -> LocalCluster:
    """One replica with the shipped configuration, as release 1."""
    return cluster.serve(with_variables(cluster.fixed(1), RELEASE="1"), replicas=1)


def wait_for_successor(cluster: LocalCluster, old: list[int]) -> None:
    def is_there() -> bool:
        assert cluster.replica_pids(), "no replica is up"
        pids = cluster.running(1)
        return bool(pids) and pids != old

    wait_until(is_there, timeout_s=90, on_timeout=cluster.logs)


@pytest.mark.essential
def test_a_rolling_update_of_the_only_replica_fails_no_request(one: LocalCluster, figure: Figure) -> None:
    """At most two requests are retried behind HAProxy, and none behind Ray's own proxy."""
    with Traffic(one.url, RATE, retries=int(one.behind_haproxy)) as traffic:
        old = one.wait_until_running_are(1)
        one.apply(with_variables(one.fixed(1), RELEASE="2"))
        wait_for_successor(one, old)
        wait_until(lambda: not Path(f"/proc/{old[0]}").exists(), timeout_s=60, on_timeout=one.logs)
        wait_for(traffic, 1)
    retried = sum(outcome.tries > 1 for outcome in traffic.outcomes)
    figure(f"{failed_of(traffic)}, {retried} retried")
    assert traffic.failed == [], described(traffic.failed)
    assert retried <= 2


@pytest.mark.long_behind_rays_proxy
def test_a_bad_rollout_keeps_the_old_replica_answering(
    one: LocalCluster, tmp_path: Path, figure: Figure
) -> None:
    """Its model's checksum is wrong: `serve status` names the reason, and the next good rollout succeeds."""
    bad = tmp_path / "bad"
    shutil.copytree(PROJECT / "models" / "starter", bad)
    content = bytearray((bad / ONNX_FILE).read_bytes())
    content[-1] ^= 1
    (bad / ONNX_FILE).write_bytes(content)
    with Traffic(one.url, RATE, retries=int(one.behind_haproxy)) as traffic:
        old = one.wait_until_running_are(1)
        config = with_variables(one.fixed(1), RELEASE="3")
        deployment_of(config)["user_config"]["model_uri"] = str(bad)
        start = traffic.now
        one.apply(config)
        wait_until(lambda: one.details()["applications"]["digits"]["status"] == "DEPLOY_FAILED", timeout_s=90)
        assert "sha256" in one.run("serve", "status")
        assert one.running(1) == old
        failed_s, start = traffic.now - start, traffic.now
        one.apply(with_variables(one.fixed(1), RELEASE="4"))
        wait_for_successor(one, old)
        good_s = traffic.now - start
    figure(
        f"{failed_of(traffic)}; reported after {failed_s:.0f} s, "
        f"a good rollout was up {good_s:.1f} s after its deploy"
    )
    assert traffic.failed == [], described(traffic.failed)
    assert good_s <= 60
