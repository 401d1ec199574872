"""What a replica exports: its counts are right, and the dashboard asks for nothing that is not there."""

import re

import httpx2
import pytest

from digits.golden import golden_digits
from tests.monitoring import alerts, metrics, queries
from tests.serve.cluster import LocalCluster, wait_until

IMAGES, LABELS = golden_digits()
OPERATORS = re.compile("kuberay_")  # KubeRay's own
# Ray writes one only once it has something to say: after a scaling, a failure.
SOMETIMES = {"ray_serve_autoscaling_target_replicas", "ray_serve_deployment_replica_starts_total"}


def exported(cluster: LocalCluster) -> str:
    return httpx2.get(cluster.metrics_url, timeout=10).text


def total(text: str, metric: str, **labels: str) -> float:
    wanted = [f'{key}="{value}"' for key, value in labels.items()]
    lines = [line for line in text.splitlines() if line.startswith(metric + "{")]
    return sum(float(line.split()[-1]) for line in lines if all(one in line for one in wanted))


def test_a_replica_counts_its_answers_by_digit_and_names_its_model(unharmed: LocalCluster) -> None:
    before = total(exported(unharmed), "ray_digits_answers_total", digit=str(LABELS[4]))
    body = IMAGES[4].tobytes() * 20
    headers = {"Content-Type": "application/octet-stream"}
    httpx2.post(f"{unharmed.url}/predict", content=body, headers=headers).raise_for_status()

    def counted() -> bool:
        text = exported(unharmed)
        return total(text, "ray_digits_answers_total", digit=str(LABELS[4])) >= before + 20

    wait_until(counted, timeout_s=30, on_timeout=lambda: exported(unharmed)[-3000:])
    text = exported(unharmed)
    assert total(text, "ray_digits_model_info", name="digits", version="starter") == 1
    assert total(text, "ray_digits_batches_total", at_most="32") >= 1
    assert total(text, "ray_digits_model_seconds_total") > 0


def test_the_dashboard_and_the_alerts_ask_for_what_is_exported(unharmed: LocalCluster) -> None:
    asked = {
        name for query in [*queries(), *(alert["expr"] for alert in alerts())] for name in metrics(query)
    }
    asked = {name for name in asked - SOMETIMES if not OPERATORS.match(name)}
    httpx2.get(f"{unharmed.url}/readyz", timeout=10).raise_for_status()

    def missing() -> list[str]:
        text = exported(unharmed)
        return sorted(name for name in asked if f"\n{name}{{" not in text)

    wait_until(lambda: not missing(), timeout_s=30, on_timeout=lambda: str(missing()))


@pytest.mark.parametrize("query", queries())
def test_each_query_names_a_metric(query: str) -> None:
    assert metrics(query)
