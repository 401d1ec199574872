"""On the cluster of kubectl's context: kuberay/rayservice.yaml, for which KubeRay is enough."""

import time
from collections.abc import Callable

import pytest

from testkit.cluster import wait_until
from tests.kubernetes.kubectl import Load, condition, kubectl, ray_service, run

Figure = Callable[[str], None]
PLAIN = "digits-plain"
READY_WITHIN_S, WATCHED_S = 900, 20
ANSWER = "import urllib.request as u; u.urlopen('http://digits-serve-svc:8000/-/healthz', timeout=2).read()"


@pytest.mark.usefixtures("cluster")
def test_the_plain_manifest_needs_only_kuberay(figure: Figure) -> None:
    kubectl("create", "namespace", PLAIN)
    try:
        began = time.monotonic()
        kubectl("apply", "-n", PLAIN, "-f", "kuberay/rayservice.yaml")
        wait_until(
            lambda: condition("Ready", PLAIN) == "True", READY_WITHIN_S, lambda: str(ray_service(PLAIN))
        )
        ready_s = time.monotonic() - began
        wait_until(answers, 60)
        with Load(PLAIN) as load:
            time.sleep(WATCHED_S)
        figure(f"ready after {ready_s:.0f} s; {load.report}")
        assert load.report.failed == 0, load.report.reasons
    finally:
        kubectl("delete", "-n", PLAIN, "rayservice/digits", "--timeout=5m", timeout_s=330)
        run("kubectl", "delete", "namespace", PLAIN, timeout_s=330)


def answers() -> bool:
    """Ready comes up to 0.74 s before the endpoint is programmed."""
    try:
        selector = "ray.io/node-type=head"
        (head,) = kubectl("get", "-n", PLAIN, "pod", "-l", selector, "-o", "name").split()
        kubectl("exec", "-n", PLAIN, head, "-c", "ray-head", "--", "python", "-c", ANSWER)
    except AssertionError:
        return False
    return True
