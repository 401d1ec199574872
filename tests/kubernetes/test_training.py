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
    """One tick is enough: the next ones wait for a schedule that is deleted first.  One epoch is, too."""
    (cron,) = (found for found in objects if found["kind"] == "RayCronJob")
    cron["spec"]["jobTemplate"]["entrypoint"] += " --epochs 1"
    cron["spec"]["schedule"] = "*/2 * * * *"
    for rule in cron["spec"]["jobTemplate"]["deletionStrategy"]["deletionRules"]:
        rule["condition"]["ttlSeconds"] = 0


def test_a_scheduled_training_runs_and_deletes_itself(figure: Figure) -> None:
    if not has_gate("RayCronJob"):
        pytest.skip("the operator runs without --feature-gates=RayCronJob=true")
    with changed_overlay("local-training-schedule", every_two_minutes) as changed:
        kubectl("apply", "--server-side", "-k", f"kuberay/overlays/{changed}")
    try:
        wait_until(scheduled_jobs, 300)
        suspend = '{"spec": {"suspend": true}}'
        kubectl("patch", "-n", NAMESPACE, "raycronjob/digits-training", "--type=merge", "-p", suspend)
        (job,) = scheduled_jobs()
        began = time.monotonic()
        wait_until(lambda: not scheduled_jobs(), TRAINED_WITHIN_S, lambda: str(scheduled_jobs()))
        figure(f"{job['metadata']['name']} trained and was deleted after {time.monotonic() - began:.0f} s")
    finally:
        kubectl("delete", "-n", NAMESPACE, "raycronjob/digits-training", "--timeout=5m", timeout_s=330)
    assert not scheduled_jobs()
