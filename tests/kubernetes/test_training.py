"""On the cluster of kubectl's context: trainings, one after the other and by schedule, and their champion."""

import json
import re
import time
from collections.abc import Callable, Iterator

import pytest

from testkit.cluster import wait_until
from tests.kubernetes.kubectl import (
    NAMESPACE,
    Load,
    Object,
    changed_overlay,
    installed,
    kubectl,
    make,
)
from tests.kubernetes.needs import has_gate

Figure = Callable[[str], None]
TRAINED_WITHIN_S, WATCHED_S = 1800, 20
TICK_S = 120


@pytest.fixture(scope="module", autouse=True)
def service(cluster: None) -> Iterator[None]:
    with installed("local"):
        yield


def test_each_call_trains_and_the_champion_is_served(figure: Figure) -> None:
    """The first version becomes champion; the second one too if it passes the gate."""
    champion = ""
    for version in ("1", "2"):
        began = time.monotonic()
        said = make("k8s-train", "local", timeout_s=TRAINED_WITHIN_S)
        registered = re.search(
            r"^models:/digits/(\d+) is (the champion|registered, not promoted)", said, re.M
        )
        assert registered, said
        assert registered[1] == version
        if registered[2] == "the champion":
            champion = version
        trained_s = time.monotonic() - began
        with Load() as load:
            make("deploy", "local-champion")
            time.sleep(WATCHED_S)
        figure(f"training {version} took {trained_s:.0f} s; then {load.report}, by {load.report.versions}")
        assert load.report.failed == 0, load.report.reasons
        assert champion in load.report.versions


def scheduled_jobs() -> list[Object]:
    selector = "ray.io/cronjob-name=digits-training"
    found = json.loads(kubectl("get", "-n", NAMESPACE, "rayjob", "-l", selector, "-o", "json"))
    return list(found["items"])


def every_two_minutes(objects: list[Object]) -> None:
    """One tick is enough: the next ones wait for a schedule that is suspended first.  One epoch is, too."""
    (cron,) = (found for found in objects if found["kind"] == "RayCronJob")
    cron["spec"]["jobTemplate"]["entrypoint"] += " --epochs 1"
    cron["spec"]["schedule"] = f"*/{TICK_S // 60} * * * *"
    for rule in cron["spec"]["jobTemplate"]["deletionStrategy"]["deletionRules"]:
        if rule["condition"].get("jobStatus") == "SUCCEEDED":  # a failed one stays, and the test sees it
            rule["condition"]["ttlSeconds"] = 0


@pytest.fixture
def suspended_after_a_job() -> Iterator[Object]:
    """Yields the first job of a schedule that is suspended as soon as it has made it."""
    if not has_gate("RayCronJob"):
        pytest.skip("the operator runs without --feature-gates=RayCronJob=true")
    try:
        with changed_overlay("local-training-schedule", every_two_minutes) as changed:
            kubectl("apply", "--server-side", "-k", f"kuberay/overlays/{changed}")
        wait_until(scheduled_jobs, 300)
        suspend(True)
        (job,) = scheduled_jobs()
        yield job
    finally:
        kubectl("delete", "-n", NAMESPACE, "raycronjob/digits-training", "--timeout=5m", timeout_s=330)
        wait_until(lambda: not scheduled_jobs(), 120, lambda: str(scheduled_jobs()))


def suspend(is_so: bool) -> None:
    patch = json.dumps({"spec": {"suspend": is_so}})
    kubectl("patch", "-n", NAMESPACE, "raycronjob/digits-training", "--type=merge", "-p", patch)


def test_a_scheduled_training_runs_and_deletes_itself(suspended_after_a_job: Object, figure: Figure) -> None:
    began = time.monotonic()
    wait_until(lambda: not scheduled_jobs(), TRAINED_WITHIN_S, lambda: str(scheduled_jobs()))
    name, took_s = suspended_after_a_job["metadata"]["name"], time.monotonic() - began
    figure(f"{name} trained and was deleted after {took_s:.0f} s")


def test_a_resumed_schedule_catches_up(suspended_after_a_job: Object, figure: Figure) -> None:
    """Which is why a schedule is paused by its deletion."""
    missed = 2
    kubectl("delete", "-n", NAMESPACE, f"rayjob/{suspended_after_a_job['metadata']['name']}", "--wait=false")
    until = (time.time() // TICK_S + missed) * TICK_S
    wait_until(lambda: time.time() > until + 1, (missed + 1) * TICK_S)
    suspend(False)
    wait_until(lambda: len(scheduled_jobs()) >= missed, 60, lambda: str(scheduled_jobs()))
    figure(f"{len(scheduled_jobs())} trainings at once after {missed} missed times")
