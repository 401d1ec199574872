"""Parts of the real service are killed under steady traffic: how many requests fail, and for how long."""

import math
import os
import signal
from pathlib import Path

import httpx2
import pytest

from testkit.cluster import LocalCluster, wait_until
from testkit.traffic import Traffic
from tests.serve.hanging import HANGS, body
from tests.serve.under_load import (
    RATE,
    Figure,
    apply_when_possible,
    described,
    failed_of,
    kill,
    kill_and_await_successor,
    last_failed_s,
    wait_for,
    with_variables,
)  # fmt: skip

FROZEN_S = 0.2  # a replica is frozen this long before it is killed, so that it dies with accepted requests


@pytest.fixture
def two(cluster: LocalCluster) -> LocalCluster:
    """Two replicas with the shipped configuration."""
    return cluster.serve(cluster.fixed(2), replicas=2)


def kill_replicas(cluster: LocalCluster, kills: int, rate: float, requests: int, figure: Figure) -> None:
    """Kills replicas under traffic, each once two run; Ray's own proxy may fail those it had accepted."""
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
    before_s = FROZEN_S + 0.5  # a replica can hold requests that were due this long before its death
    late_s = [
        o.due - max((at for at in killed if at - before_s <= o.due), default=-math.inf)
        for o in traffic.failed
    ]
    figure(
        f"{failed_of(traffic)} over {kills} kills, the last one due {max(late_s, default=0):.1f} s after; "
        f"two replicas again after at most {max(back_s):.1f} s"
    )
    if cluster.behind_haproxy:
        assert traffic.failed == [], described(traffic.failed)
    assert max(late_s, default=0) <= 1, described(traffic.failed)  # Serve retries no request that has begun
    assert {outcome.status for outcome in traffic.failed} <= {502, 503}, described(traffic.failed)
    assert len(traffic.failed) <= kills * rate * (FROZEN_S + 0.5)
    assert max(back_s) <= 15


@pytest.mark.essential
def test_a_killed_replica_fails_no_request_behind_haproxy(two: LocalCluster, figure: Figure) -> None:
    """Behind HAProxy none fails; behind Ray's own proxy those that the replica holds get 502 or 503."""
    kill_replicas(two, kills=2, rate=RATE, requests=300, figure=figure)


@pytest.mark.long
def test_ten_killed_replicas_fail_no_request_behind_haproxy(two: LocalCluster, figure: Figure) -> None:
    """The same with ten kills under ten thousand requests."""
    kill_replicas(two, kills=10, rate=100, requests=10_000, figure=figure)


def test_sigterm_to_a_replica_fails_no_request_behind_haproxy(two: LocalCluster, figure: Figure) -> None:
    """Behind HAProxy none fails; behind Ray's own proxy none that is due more than a second later."""
    with Traffic(two.url, RATE) as traffic:
        wait_for(traffic, 1)
        (victim, _) = two.wait_until_running_are(2)
        os.kill(victim, signal.SIGTERM)
        at = traffic.now
        wait_until(lambda: victim not in (two.running(2) or [victim]), timeout_s=60, on_timeout=two.logs)
    figure(failed_of(traffic))
    if two.behind_haproxy:
        assert traffic.failed == [], described(traffic.failed)
    assert last_failed_s(traffic, at) <= 1, described(traffic.failed)


def test_two_killed_replicas_are_back_in_30_s(two: LocalCluster, figure: Figure) -> None:
    """Each answer takes less than 30 s, and a request due a second later gets a digit or a problem."""
    with Traffic(two.url, RATE) as traffic:
        wait_for(traffic, 1)
        at = traffic.now
        kill(two.wait_until_running_are(2))
        wait_until(lambda: two.running(2), timeout_s=60, on_timeout=two.logs)
        wait_for(traffic, 1)
    slowest_s = max(outcome.seconds for outcome in traffic.outcomes)
    figure(
        f"{failed_of(traffic)}, the last one due {last_failed_s(traffic, at):.1f} s after the kill; "
        f"slowest answer {slowest_s:.1f} s"
    )
    assert slowest_s < 30
    assert last_failed_s(traffic, at) <= 30
    # Requests already accepted are lost; later ones get a problem that names the reason.
    for outcome in traffic.failed:
        assert outcome.due <= at + 1 or '"code":"' in outcome.text, outcome


def test_a_killed_proxy_answers_again_in_15_s(two: LocalCluster, figure: Figure) -> None:
    """HAProxy, its manager, or Ray's own proxy: no request fails later, and none gets a status but 503."""
    for title in ["bin/haproxy", "ray::HAProxyManager"] if two.behind_haproxy else ["ray::ProxyActor"]:
        with Traffic(two.url, RATE) as traffic:
            wait_for(traffic, 1)
            at = traffic.now
            kill_and_await_successor(two, title)
            wait_for(traffic, 4)
        figure(f"{title}: answers again after {last_failed_s(traffic, at):.1f} s")
        assert traffic.failed
        assert last_failed_s(traffic, at) <= 15, described(traffic.failed)
        # Never 404: a client would not retry.
        assert {outcome.status for outcome in traffic.failed} <= {0, 503}, described(traffic.failed)


@pytest.mark.haproxy_only
def test_a_killed_fallback_proxy_fails_no_request(two: LocalCluster, figure: Figure) -> None:
    """HAProxy sends requests to the fallback proxy only while no replica is there."""
    with Traffic(two.url, RATE) as traffic:
        wait_for(traffic, 1)
        kill_and_await_successor(two, "ray::ProxyActor")
        wait_for(traffic, 1)
    figure(failed_of(traffic))
    assert traffic.failed == [], described(traffic.failed)


def test_a_killed_controller_fails_no_request(two: LocalCluster, figure: Figure) -> None:
    """The new controller scales the deployment when asked."""
    with Traffic(two.url, RATE) as traffic:
        wait_for(traffic, 1)
        kill_and_await_successor(two, "ray::ServeController")
        start = traffic.now
        apply_when_possible(two, two.fixed(3))
        two.wait_until_running_are(3)
        scaled_s = traffic.now - start
        wait_for(traffic, 1)
    figure(f"{failed_of(traffic)}; scaled again in {scaled_s:.1f} s")
    assert traffic.failed == [], described(traffic.failed)


@pytest.mark.long_behind_rays_proxy
@pytest.mark.parametrize(
    "where", ["in its thread", pytest.param("on the event loop", marks=pytest.mark.long)]
)
def test_a_replica_whose_model_hangs_is_replaced_in_30_s(
    cluster: LocalCluster, tmp_path: Path, figure: Figure, where: str
) -> None:
    """The health check fails while a batch hangs; the other replica answers meanwhile."""
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
        f"replica ended after {gone_s:.1f} s, two again after {back_s:.1f} s; {failed_of(traffic)}, "
        f"{len(slow)} took more than 1 s"
    )
    assert back_s <= 30
    assert len(slow) < 0.8 * len([o for o in traffic.outcomes if at <= o.due <= at + gone_s])
