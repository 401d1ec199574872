"""OVERLAY=local on the cluster of kubectl's context: installed, changed, damaged, upgraded, rolled back.

Each test continues where the one before it ended, because an installation takes minutes.
"""

import subprocess
import time
from collections.abc import Callable, Iterator

import pytest

from testkit.cluster import wait_until
from tests.kubernetes.kubectl import (
    NAMESPACE,
    OVERLAY,
    ROOT,
    Load,
    active_cluster,
    annotate,
    change_config,
    changed_overlay,
    clusters,
    condition,
    evict,
    installed,
    kubectl,
    make,
    of_cluster,
    pods,
    ray_service,
    ready,
    replicas_run,
    run,
    running_replicas,
    with_replicas,
)

Figure = Callable[[str], None]
STARTED_WITHIN_S, UPGRADED_WITHIN_S = 900, 1200
WATCHED_S = 20  # of load without a disturbance


@pytest.fixture(scope="module", autouse=True)
def service(cluster: None) -> Iterator[None]:
    with installed(OVERLAY):
        yield


def status() -> str:
    return str(ray_service().get("status"))


def test_the_first_answers_after_make_deploy_are_right(figure: Figure) -> None:
    """The load begins as soon as `make deploy` returns."""
    with Load() as load:
        time.sleep(WATCHED_S)
    figure(str(load.report))
    assert load.report.failed == 0, load.report.reasons
    assert load.report.sent > WATCHED_S
    assert load.report.versions == ["starter"]


def test_a_second_deploy_changes_nothing() -> None:
    before, generation = active_cluster(), ray_service()["metadata"]["generation"]
    make("deploy", OVERLAY)
    assert active_cluster() == before
    assert ray_service()["metadata"]["generation"] == generation


def test_a_conflict_says_what_to_do_and_force_does_it() -> None:
    patch = '{"spec": {"rayClusterDeletionDelaySeconds": 181}}'
    kubectl("patch", "-n", NAMESPACE, "rayservice/digits", "--type=merge", "-p", patch)
    done = subprocess.run(
        ["make", "deploy", f"OVERLAY={OVERLAY}"],
        cwd=ROOT, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode != 0
    assert "make deploy FORCE=1" in done.stderr
    make("deploy", OVERLAY, "FORCE=1")
    assert ray_service()["spec"]["rayClusterDeletionDelaySeconds"] == 180


def test_replicas_scale_in_place_and_lose_no_request(figure: Figure) -> None:
    before, there = active_cluster(), running_replicas()
    with Load() as load:
        change_config(min_replicas=1, max_replicas=1)
        wait_until(lambda: replicas_run(1), STARTED_WITHIN_S)
        change_config(min_replicas=there, max_replicas=there)
        wait_until(lambda: replicas_run(there), STARTED_WITHIN_S)
    figure(f"{there} to 1 and back: {load.report}")
    assert load.report.failed == 0, load.report.reasons
    assert active_cluster() == before
    make("deploy", OVERLAY, "FORCE=1")  # what was patched is the manifests' again


def test_workers_scale_in_place_by_make_deploy(figure: Figure) -> None:
    before, there, replicas = active_cluster(), ready(of_cluster("worker")), running_replicas()
    with Load() as load:
        began = time.monotonic()
        each = -(-replicas // there)
        more = lambda objects: with_replicas(objects, there + 1, replicas + each)  # noqa: E731
        with changed_overlay(OVERLAY, more) as changed:
            make("deploy", changed)
        up_s = time.monotonic() - began
        assert ready(of_cluster("worker")) == there + 1
        make("deploy", OVERLAY)
        wait_until(lambda: len(pods(of_cluster("worker"))) == there, STARTED_WITHIN_S)
    figure(f"{there} to {there + 1} workers in {up_s:.0f} s, and back: {load.report}")
    assert active_cluster() == before
    assert load.report.failed == 0, load.report.reasons


def disturbed(do: Callable[[], None], figure: Figure, what: str) -> int:
    """Returns how many requests failed while a worker or the head was lost and came back."""
    workers = len(pods(of_cluster("worker")))
    with Load() as load:
        do()
        wait_until(lambda: ready(of_cluster("worker")) == workers, STARTED_WITHIN_S, status)
        wait_until(lambda: condition("Ready") == "True", STARTED_WITHIN_S, status)
    figure(f"{what}: {load.report}")
    with Load() as after:
        time.sleep(WATCHED_S)
    assert after.report.failed == 0, after.report.reasons
    return load.report.failed


def gone(pod: str) -> None:
    wait_until(
        lambda: pod not in kubectl("get", "-n", NAMESPACE, "pod", "-o", "name").split(), STARTED_WITHIN_S
    )


def test_a_deleted_worker_is_replaced(figure: Figure) -> None:
    workers = pods(of_cluster("worker"))

    def delete() -> None:
        kubectl("delete", "-n", NAMESPACE, workers[0], "--wait=false")
        gone(workers[0])

    failed = disturbed(delete, figure, f"one of {len(workers)} workers deleted")
    assert failed == 0 or len(workers) == 1


def test_a_worker_can_be_evicted(figure: Figure) -> None:
    workers = pods(of_cluster("worker"))

    def drain() -> None:
        assert evict(workers[0]) == ""
        gone(workers[0])

    failed = disturbed(drain, figure, f"one of {len(workers)} workers evicted")
    assert failed == 0 or len(workers) == 1


def test_a_deleted_head_comes_back(figure: Figure) -> None:
    """Without Redis its workers go with it: seconds without an answer, which is the figure.

    They are ready until the next head tells them that it does not know them, so its replicas are waited for.
    """
    (head,) = pods(of_cluster("head"))
    there = running_replicas()

    def delete() -> None:
        kubectl("delete", "-n", NAMESPACE, head, "--wait=false")
        gone(head)
        wait_until(lambda: replicas_run(there), STARTED_WITHIN_S, status)

    disturbed(delete, figure, "head deleted")


def test_an_upgrade_is_a_second_cluster_and_loses_no_request(figure: Figure) -> None:
    """And the upgrade is rolled back, which is another one."""
    for what in ("upgrade", "rollback after it"):
        before, began = active_cluster(), time.monotonic()
        with Load() as load:
            if what == "upgrade":
                with changed_overlay(OVERLAY, annotate) as changed:
                    make("deploy", changed)
            else:
                make("deploy", OVERLAY)
            switched_s = time.monotonic() - began
            assert active_cluster() != before
            if what == "upgrade":
                wait_until(lambda: clusters() == [f"raycluster.ray.io/{active_cluster()}"], UPGRADED_WITHIN_S)
            else:  # KubeRay would do the same after another 3 minutes
                kubectl("delete", "-n", NAMESPACE, f"raycluster/{before}", "--timeout=5m", timeout_s=330)
        figure(f"{what}: deployed after {switched_s:.0f} s: {load.report}")
        assert load.report.failed == 0, load.report.reasons


def apply_an_upgrade() -> None:
    """Returns once the second cluster exists, long before it has the traffic."""
    with changed_overlay(OVERLAY, annotate) as changed:
        kubectl("apply", "--server-side", "-k", f"kuberay/overlays/{changed}")
    wait_until(lambda: len(clusters()) == 2, 60, status)


def test_a_cancelled_upgrade_keeps_the_cluster(figure: Figure) -> None:
    before = active_cluster()
    with Load() as load:
        apply_an_upgrade()
        began = time.monotonic()
        make("cancel-upgrade", OVERLAY)
        cancelled_s = time.monotonic() - began
        assert clusters() == [f"raycluster.ray.io/{before}"]
        time.sleep(WATCHED_S)
    figure(f"cancelled in {cancelled_s:.0f} s: {load.report}")
    assert active_cluster() == before
    assert condition("UpgradeInProgress") == "False"
    assert load.report.failed == 0, load.report.reasons


def test_a_deploy_during_an_upgrade_is_a_third_cluster(figure: Figure) -> None:
    """Even with the manifests of the first one, which is why `make cancel-upgrade` exists."""
    before = active_cluster()
    with Load() as load:
        apply_an_upgrade()
        two = set(clusters())
        kubectl("apply", "--server-side", "-k", f"kuberay/overlays/{OVERLAY}")
        wait_until(lambda: bool(set(clusters()) - two), 60, status)
        third = set(clusters()) - two
        make("cancel-upgrade", OVERLAY)
        assert clusters() == [f"raycluster.ray.io/{before}"]
    figure(f"{', '.join(third)} was created, and cancelled: {load.report}")
    assert active_cluster() == before
    assert load.report.failed == 0, load.report.reasons


def test_a_suspended_service_comes_back(figure: Figure) -> None:
    def suspend(is_so: str) -> None:
        patch = f'{{"spec": {{"suspend": {is_so}}}}}'
        kubectl("patch", "-n", NAMESPACE, "rayservice/digits", "--type=merge", "-p", patch)

    suspend("true")
    wait_until(lambda: not pods("app.kubernetes.io/component=serving"), STARTED_WITHIN_S, status)
    began = time.monotonic()
    suspend("false")
    make("deploy", OVERLAY)
    figure(f"answers again after {time.monotonic() - began:.0f} s")


def test_undeploy_leaves_nothing() -> None:
    """The fixture deletes again, which must not be an error."""
    make("undeploy", OVERLAY)
    found = run("kubectl", "get", "namespace", "-o", "name").split()
    assert f"namespace/{NAMESPACE}" not in found
