"""On the cluster of kubectl's context: load brings a second worker, and its end takes it away."""

import time
from collections.abc import Callable, Iterator

import pytest

from testkit.cluster import wait_until
from tests.kubernetes.kubectl import Load, installed, of_cluster, pods, ready

Figure = Callable[[str], None]
MANY = 150  # requests per second from 16 connections: more than two wait for one replica
SCALED_WITHIN_S = 600


@pytest.fixture(scope="module", autouse=True)
def service(cluster: None) -> Iterator[None]:
    with installed("local-autoscaling"):
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
