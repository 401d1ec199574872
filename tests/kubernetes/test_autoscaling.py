"""On the cluster of kubectl's context: load starts a second worker, which stops when the load ends."""

import time
from collections.abc import Callable, Iterator

import pytest

from testkit.cluster import wait_until
from tests.kubernetes.kubectl import (
    Load,
    active_cluster,
    begin_upgrade,
    changed_overlay,
    installed,
    of_cluster,
    pods,
    ready,
)
from tests.kubernetes.production import fitted

Figure = Callable[[str], None]
MANY = 150  # requests per second from 16 connections: more than two wait for one replica
SCALED_WITHIN_S, SWITCHED_WITHIN_S = 600, 5


@pytest.fixture(scope="module", autouse=True)
def service(cluster: None) -> Iterator[None]:
    with changed_overlay("local-autoscaling", fitted) as changed, installed(changed):
        yield


def test_load_brings_a_worker_and_its_end_takes_it_away(figure: Figure) -> None:
    worker = of_cluster("worker")
    assert ready(worker) == 1
    with Load(rate=MANY) as load:
        began = time.monotonic()
        wait_until(lambda: ready(worker) == 2, SCALED_WITHIN_S)
        up_s = time.monotonic() - began
    began = time.monotonic()
    with Load() as after:
        wait_until(lambda: len(pods(worker)) == 1, SCALED_WITHIN_S)
        down_s = time.monotonic() - began
    figure(
        f"second worker ready after {up_s:.0f} s, {load.report}; gone after {down_s:.0f} s, {after.report}"
    )
    assert load.report.failed == 0, load.report.reasons
    assert after.report.failed == 0, after.report.reasons


def test_an_upgrade_starts_with_the_smallest_number(figure: Figure) -> None:
    """The new cluster has one worker when it gets the traffic, although the old one has two by then."""
    before, old = active_cluster(), of_cluster("worker")
    with Load(rate=MANY) as load:
        wait_until(lambda: ready(old) == 2, SCALED_WITHIN_S)
        begin_upgrade()
        wait_until(lambda: active_cluster() != before, SCALED_WITHIN_S)
        # A busy pod may miss a probe; a third worker takes longer than this.
        wait_until(lambda: (ready(old), ready(of_cluster("worker"))) == (2, 1), SWITCHED_WITHIN_S)
    figure(f"one new worker got the traffic of two: {load.report}")
