"""The application `handover` runs once every worker has answered for a while, or fails in time."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from ray.serve.exceptions import RayServeException

from digits.serving.handover import ASK_EVERY_S, NAME, HandoverSettings, Seen, wait
from testkit.cluster import ENVIRONMENTS, LocalCluster, free_port, wait_until

SETTINGS = HandoverSettings(answered_for_s=5, within_s=60)


def waited_s(look: Callable[[float], Seen]) -> float:
    """Returns the seconds until `wait` returns, by a clock that only its pauses move."""
    now = [100.0]

    def sleep(seconds: float) -> None:
        now[0] += seconds
        assert now[0] < 1000, "it waits for ever"

    wait(SETTINGS, lambda: look(now[0] - 100), lambda: now[0], sleep)
    return now[0] - 100


def seen(*answers: bool, others_run: bool = True) -> Seen:
    return Seen(others_run, {f"10.0.0.{number}": is_good for number, is_good in enumerate(answers)})


def test_it_waits_until_every_worker_has_answered_for_5_s() -> None:
    """The second worker answers from second 3 on."""
    assert waited_s(lambda now: seen(True, now >= 3)) == 8


def test_a_failed_answer_begins_the_wait_again() -> None:
    assert waited_s(lambda now: seen(True, now != 4)) == 4 + ASK_EVERY_S + 5


def test_a_worker_that_joins_must_answer_as_long() -> None:
    assert waited_s(lambda now: seen(True) if now < 4 else seen(True, True)) == 9


def test_a_worker_that_has_gone_is_not_waited_for() -> None:
    assert waited_s(lambda now: seen(True, False) if now < 20 else seen(True)) == 20


def test_it_waits_for_the_other_applications() -> None:
    """Longer than `within_s`: the state of the other application says why it does not run."""
    assert waited_s(lambda now: seen(True, others_run=now >= 300)) == 300


@pytest.mark.parametrize(("answers", "said"), [((True, False), "http://10.0.0.1:8000"), ((), "no node")])
def test_it_fails_in_time_and_names_the_silent_worker(answers: tuple[bool, ...], said: str) -> None:
    with pytest.raises(RayServeException, match=said):
        waited_s(lambda now: seen(*answers))


def with_handover(cluster: LocalCluster, **args: Any) -> dict[str, Any]:
    config = cluster.fixed(1)
    config["http_options"]["host"] = "0.0.0.0"  # as in a pod: it asks at the node's address
    config["applications"].append(
        {"name": NAME, "route_prefix": None, "import_path": "digits.serving.handover:app", "args": args}
    )
    return config


def handover(cluster: LocalCluster) -> dict[str, Any]:
    found: dict[str, Any] = cluster.details()["applications"].get(NAME, {})
    return found


@pytest.fixture(scope="module")
def own(request: pytest.FixtureRequest) -> Iterator[LocalCluster]:
    """A cluster behind HAProxy whose applications end with the module."""
    with LocalCluster(**ENVIRONMENTS["haproxy"]()) as cluster:
        yield cluster


def test_serve_runs_it_after_the_service_and_nothing_stays(own: LocalCluster) -> None:
    """With a real Serve: it is deployed at once, runs after `digits`, and has no replica."""
    own.apply(with_handover(own, port=own.port, answered_for_s=3, within_s=60))
    states = []

    def both_run() -> bool:
        applications = own.details()["applications"]
        states.append({name: one["status"] for name, one in applications.items()})
        return states[-1] == {"digits": "RUNNING", NAME: "RUNNING"}

    wait_until(both_run, 120, lambda: str(handover(own)))
    assert {"digits": "RUNNING", NAME: "DEPLOYING"} in states
    assert own.ready()
    assert [one["replicas"] for one in handover(own)["deployments"].values()] == [[]]
    assert handover(own)["route_prefix"] is None


def test_a_change_of_the_service_in_place_does_not_wait_again(own: LocalCluster) -> None:
    config = with_handover(own, port=own.port, answered_for_s=3, within_s=60)
    config["applications"][0]["deployments"][0]["user_config"]["max_batch_size"] = 32
    before = handover(own)["last_deployed_time_s"]
    own.apply(config)
    wait_until(lambda: handover(own)["last_deployed_time_s"] > before, 10)
    assert handover(own)["status"] == "RUNNING"


def test_without_answers_it_is_deploy_failed_with_the_reason(own: LocalCluster) -> None:
    """On a port where nothing listens.  The service still answers, and the same again is another try."""
    port = free_port()
    config = with_handover(own, port=port, answered_for_s=1, within_s=2)
    for _ in range(2):
        own.apply(config)
        wait_until(lambda: handover(own)["status"] == "DEPLOYING", 10, lambda: str(handover(own)))
        wait_until(lambda: handover(own)["status"] == "DEPLOY_FAILED", 60, lambda: str(handover(own)))
        assert f":{port}/-/healthz. The traffic stays" in handover(own)["message"]
    assert own.ready()
