"""Parts of the real service killed while requests come at a steady rate: what fails, and for how long."""

import math
import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx2
import pytest

from digits.inference.source import PROJECT
from digits.models.manifest import ONNX_FILE
from testkit.cluster import LocalCluster, wait_until
from testkit.traffic import Outcome, Traffic
from tests.serve.hanging import HANGS, body

RATE = 60
FROZEN_S = 0.2  # a replica is stopped so long before it is killed, so that it dies with requests in its hands
Figure = Callable[[str], None]


@pytest.fixture
def two(cluster: LocalCluster) -> LocalCluster:
    """Two replicas of what is shipped."""
    cluster.apply(cluster.fixed(2))
    cluster.wait_until_running_are(2, timeout_s=90)
    wait_until(cluster.ready, timeout_s=30, on_timeout=cluster.logs)
    return cluster


def wait_for(traffic: Traffic, seconds: float) -> float:
    """When that time has gone by; requests go on meanwhile."""
    end = traffic.now + seconds
    wait_until(lambda: traffic.now >= end, timeout_s=seconds + 10)
    return traffic.now


def kill(pids: list[int]) -> None:
    for pid in pids:
        os.kill(pid, signal.SIGKILL)


def wait_for_another(cluster: LocalCluster, title: str, killed: list[int]) -> None:
    def is_there() -> bool:
        pids = cluster.pids(title)
        return bool(pids) and not set(pids) & set(killed)

    wait_until(is_there, timeout_s=60, on_timeout=cluster.logs)


def told(outcomes: list[Outcome]) -> str:
    return str(sorted({(outcome.status, outcome.text[:200]) for outcome in outcomes}))


def last_failed_s(traffic: Traffic, since: float) -> float:
    """Seconds from then to the last failure; what is due later is answered."""
    return max((outcome.due for outcome in traffic.failed), default=since) - since


def kill_replicas(cluster: LocalCluster, kills: int, rate: float, requests: int, figure: Figure) -> None:
    killed: list[float] = []
    back_s: list[float] = []
    with Traffic(cluster.url, rate) as traffic:
        for number in range(kills):
            wait_for(traffic, 1)
            pids = cluster.wait_until_running_are(2)
            victim = pids[number % 2]
            os.kill(victim, signal.SIGSTOP)
            killed.append(wait_for(traffic, FROZEN_S))
            kill([victim])
            wait_until(
                lambda: victim not in (cluster.running(2) or [victim]),  # noqa: B023
                timeout_s=60, on_timeout=cluster.logs,
            )  # fmt: skip
            back_s.append(traffic.now - killed[-1])
        wait_until(lambda: len(traffic.outcomes) >= requests, timeout_s=requests / rate + 60)
    before_s = FROZEN_S + 0.5  # what is due so long before a death can be in the replica's hands
    late_s = [
        o.due - max((at for at in killed if at - before_s <= o.due), default=-math.inf)
        for o in traffic.failed
    ]
    figure(
        f"{len(traffic.failed)} of {len(traffic.outcomes)} failed over {kills} kills, the last due "
        f"{max(late_s, default=0):.1f} s after; two replicas again after {max(back_s):.1f} s at most"
    )
    if cluster.behind_haproxy:
        assert traffic.failed == [], told(traffic.failed)
    assert max(late_s, default=0) <= 1, told(traffic.failed)  # Serve repeats no request that has begun
    assert {outcome.status for outcome in traffic.failed} <= {502, 503}, told(traffic.failed)
    assert len(traffic.failed) <= kills * rate * (FROZEN_S + 0.5)
    assert max(back_s) <= 15


def test_a_replica_killed_takes_no_request_with_it_behind_haproxy_and_only_those_in_its_hands_elsewhere(
    two: LocalCluster, figure: Figure
) -> None:
    kill_replicas(two, kills=2, rate=RATE, requests=300, figure=figure)


@pytest.mark.long
def test_ten_replicas_killed_take_no_request_of_ten_thousand_with_them_behind_haproxy(
    two: LocalCluster, figure: Figure
) -> None:
    kill_replicas(two, kills=10, rate=100, requests=10_000, figure=figure)


def test_a_replica_asked_to_end_by_sigterm_takes_no_request_with_it_behind_haproxy(
    two: LocalCluster, figure: Figure
) -> None:
    with Traffic(two.url, RATE) as traffic:
        wait_for(traffic, 1)
        (victim, _) = two.wait_until_running_are(2)
        os.kill(victim, signal.SIGTERM)
        at = traffic.now
        wait_until(lambda: victim not in (two.running(2) or [victim]), timeout_s=60, on_timeout=two.logs)
    figure(f"{len(traffic.failed)} of {len(traffic.outcomes)} failed")
    if two.behind_haproxy:
        assert traffic.failed == [], told(traffic.failed)
    assert last_failed_s(traffic, at) <= 1, told(traffic.failed)


def test_with_both_replicas_killed_every_request_is_answered_in_time_and_they_are_back_in_30_s(
    two: LocalCluster, figure: Figure
) -> None:
    with Traffic(two.url, RATE) as traffic:
        wait_for(traffic, 1)
        at = traffic.now
        kill(two.wait_until_running_are(2))
        wait_until(lambda: two.running(2), timeout_s=60, on_timeout=two.logs)
        wait_for(traffic, 1)
    slowest_s = max(outcome.seconds for outcome in traffic.outcomes)
    figure(
        f"{len(traffic.failed)} of {len(traffic.outcomes)} failed, the last due "
        f"{last_failed_s(traffic, at):.1f} s after; slowest answer {slowest_s:.1f} s"
    )
    assert slowest_s < 30
    assert last_failed_s(traffic, at) <= 30
    # Who had sent a request already loses it; who comes later is told why there is no answer.
    for outcome in traffic.failed:
        assert outcome.due <= at + 1 or '"code":"' in outcome.text, outcome


def test_a_front_that_is_killed_is_back_in_15_s_and_nothing_fails_after(
    two: LocalCluster, figure: Figure
) -> None:
    for title in ["bin/haproxy", "ray::HAProxyManager"] if two.behind_haproxy else ["ray::ProxyActor"]:
        with Traffic(two.url, RATE) as traffic:
            wait_for(traffic, 1)
            at, pids = traffic.now, two.pids(title)
            kill(pids)
            wait_for_another(two, title, pids)
            wait_for(traffic, 4)
        figure(f"{title}: answers again after {last_failed_s(traffic, at):.1f} s")
        assert traffic.failed
        assert last_failed_s(traffic, at) <= 15, told(traffic.failed)
        # No answer may say that the path is wrong: no client would ask again.
        assert {outcome.status for outcome in traffic.failed} <= {0, 503}, told(traffic.failed)


@pytest.mark.haproxy_only
def test_the_fallback_proxy_killed_behind_haproxy_is_noticed_by_no_request(
    two: LocalCluster, figure: Figure
) -> None:
    with Traffic(two.url, RATE) as traffic:
        wait_for(traffic, 1)
        pids = two.pids("ray::ProxyActor")
        kill(pids)
        wait_for_another(two, "ray::ProxyActor", pids)
        wait_for(traffic, 1)
    figure(f"{len(traffic.failed)} of {len(traffic.outcomes)} failed")
    assert traffic.failed == [], told(traffic.failed)


def test_the_controller_killed_fails_no_request_and_scaling_goes_on_after(
    two: LocalCluster, figure: Figure
) -> None:
    with Traffic(two.url, RATE) as traffic:
        wait_for(traffic, 1)
        pids = two.pids("ray::ServeController")
        kill(pids)
        wait_for_another(two, "ray::ServeController", pids)
        start = traffic.now
        apply_when_possible(two, two.fixed(3))
        two.wait_until_running_are(3)
        scaled_s = traffic.now - start
        wait_for(traffic, 1)
    figure(f"{len(traffic.failed)} of {len(traffic.outcomes)} failed; scaled again in {scaled_s:.1f} s")
    assert traffic.failed == [], told(traffic.failed)


def apply_when_possible(cluster: LocalCluster, config: dict[str, Any]) -> None:
    def is_applied() -> bool:
        try:
            cluster.apply(config)
        except httpx2.HTTPError:
            return False
        return True

    wait_until(is_applied, timeout_s=60, on_timeout=cluster.logs)


def deployment_of(config: dict[str, Any]) -> dict[str, Any]:
    deployment: dict[str, Any] = config["applications"][0]["deployments"][0]
    return deployment


def with_variables(config: dict[str, Any], **variables: str) -> dict[str, Any]:
    """As a new image would: every replica must start anew."""
    deployment_of(config)["ray_actor_options"]["runtime_env"] = {"env_vars": variables}
    return config


@pytest.fixture
def one(cluster: LocalCluster) -> LocalCluster:
    cluster.apply(with_variables(cluster.fixed(1), RELEASE="1"))
    cluster.wait_until_running_are(1, timeout_s=90)
    wait_until(cluster.ready, timeout_s=30, on_timeout=cluster.logs)
    return cluster


def wait_for_successor(cluster: LocalCluster, old: list[int]) -> None:
    def is_there() -> bool:
        assert cluster.replica_pids(), "no replica is up"
        pids = cluster.running(1)
        return bool(pids) and pids != old

    wait_until(is_there, timeout_s=90, on_timeout=cluster.logs)


def test_a_rolling_update_of_the_only_replica_loses_no_request(one: LocalCluster, figure: Figure) -> None:
    with Traffic(one.url, RATE, retries=int(one.behind_haproxy)) as traffic:
        old = one.wait_until_running_are(1)
        one.apply(with_variables(one.fixed(1), RELEASE="2"))
        wait_for_successor(one, old)
        wait_until(lambda: not Path(f"/proc/{old[0]}").exists(), timeout_s=60, on_timeout=one.logs)
        wait_for(traffic, 1)
    again = sum(outcome.tries > 1 for outcome in traffic.outcomes)
    figure(f"{len(traffic.failed)} of {len(traffic.outcomes)} failed, {again} asked twice")
    assert traffic.failed == [], told(traffic.failed)
    assert again <= 2


@pytest.mark.long_behind_rays_proxy
def test_a_bad_rollout_leaves_the_old_replica_answering_says_why_and_a_good_one_follows(
    one: LocalCluster, tmp_path: Path, figure: Figure
) -> None:
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
        f"{len(traffic.failed)} of {len(traffic.outcomes)} failed; told after {failed_s:.0f} s, "
        f"a good one was up {good_s:.1f} s after its deploy"
    )
    assert traffic.failed == [], told(traffic.failed)
    assert good_s <= 60


@pytest.mark.long_behind_rays_proxy
@pytest.mark.parametrize(
    "where", ["in its thread", pytest.param("on the event loop", marks=pytest.mark.long)]
)
def test_a_replica_whose_model_hangs_is_replaced_in_30_s_while_the_other_answers(
    cluster: LocalCluster, tmp_path: Path, figure: Figure, where: str
) -> None:
    config = with_variables(
        cluster.fixed(2), DIGITS_SEEN=str(tmp_path / "seen"), DIGITS_ON_LOOP=str(int("loop" in where))
    )
    config["applications"][0]["import_path"] = "tests.serve.hanging:app"
    cluster.apply(config)
    wait_until(lambda: "RUNNING" in cluster.details()["applications"]["digits"]["status"], timeout_s=90)
    old = cluster.wait_until_running_are(2, timeout_s=90)
    image = body(HANGS)
    with Traffic(cluster.url, RATE, retries=1) as traffic:
        wait_for(traffic, 1)
        at = traffic.now
        with pytest.raises(httpx2.TimeoutException):
            httpx2.post(
                f"{cluster.url}/predict", content=image.content,
                headers={"Content-Type": image.content_type or ""}, timeout=1,
            )  # fmt: skip
        wait_until(lambda: any(not Path(f"/proc/{pid}").exists() for pid in old), timeout_s=60)
        gone_s = traffic.now - at
        wait_until(lambda: cluster.running(2), timeout_s=60, on_timeout=cluster.logs)
        back_s = traffic.now - at
        wait_for(traffic, 1)
    slow = [outcome for outcome in traffic.outcomes if outcome.seconds > 1]
    figure(
        f"ended after {gone_s:.1f} s, two again after {back_s:.1f} s; {len(traffic.failed)} of "
        f"{len(traffic.outcomes)} failed, {len(slow)} took more than 1 s"
    )
    assert back_s <= 30
    assert len(slow) < 0.8 * len([o for o in traffic.outcomes if at <= o.due <= at + gone_s])
