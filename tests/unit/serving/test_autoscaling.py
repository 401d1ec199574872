"""How many replicas the load needs."""

import time
from types import SimpleNamespace
from typing import Any

import pytest

from digits.inference.reader import Reader
from digits.serving.autoscaling import TARGET, WORK, OfferedWork, replicas_needed


def context(requests: float, shares: dict[str, float] | None) -> Any:
    """What Ray passes, as far as it is read: Ray takes seconds to import."""
    config = SimpleNamespace(get_target_ongoing_requests=lambda: 32)
    metrics = {} if shares is None else {WORK: shares}
    return SimpleNamespace(total_num_requests=requests, aggregated_metrics=metrics, config=config)


@pytest.mark.parametrize(
    ("requests", "shares", "replicas"),
    [
        (0, {"a": 0.0}, 0),
        (64, {"a": 0.1}, 2),  # many small requests
        (8, {"a": 2.0}, 2 / TARGET),  # few photos, twice what a replica can decode
        (8, {"a": 0.9, "b": 0.5}, 1.4 / TARGET),
        (16, None, 0.5),  # before the first report
    ],
)
def test_the_larger_need_decides(requests: float, shares: dict[str, float] | None, replicas: float) -> None:
    needed, state = replicas_needed(context(requests, shares))
    assert needed == pytest.approx(replicas)
    assert state == {}


def test_the_share_is_of_what_arrived_since_the_last_call(monkeypatch: pytest.MonkeyPatch) -> None:
    """In seconds of decoding a second, for each thread; refused work counts as if it had been done."""
    clock = SimpleNamespace(now=100.0)
    monkeypatch.setattr(time, "monotonic", lambda: clock.now)
    reader = Reader(threads=2)
    offered = OfferedWork(reader)
    reader.refused_s, clock.now = 3.0, 101.0
    assert offered.share() == pytest.approx(1.5)
    clock.now = 102.0
    assert offered.share() == 0
    reader.refused_s, clock.now = 4.0, 104.0
    assert offered.share() == pytest.approx(0.25)
