"""A replica's metrics: its counters are right, and every query of dashboard and alerts finds data."""

from pathlib import Path

import httpx2
import pytest

from digits.vision.golden import golden_digits
from testkit.cluster import LocalCluster, wait_until
from testkit.traffic import Traffic
from tests.rules.monitoring import alerts, metrics, queries, selectors
from tests.serve.prometheus import scraping

IMAGES, LABELS = golden_digits()
# Label values that a healthy service does not export, each with one of the same metric that it does.
SUBSTITUTES = (
    ('status_code=~"5.."', 'status_code="415"'),
    ('status_code="429"', 'status_code="415"'),
    ('outcome="rejected"', 'outcome="loaded"'),
    ('outcome="unavailable"', 'outcome="loaded"'),
    ('outcome="unreachable"', 'outcome="loaded"'),
    ('application="handover"', 'application="digits"'),  # a part of the manifests only
)


@pytest.fixture(scope="module")
def service(cluster: LocalCluster) -> LocalCluster:
    """The shipped configuration, with one replica."""
    # A fixed number first: autoscaling would keep the replicas of other tests for downscale_delay_s.
    cluster.serve(cluster.fixed(1), replicas=1)
    return cluster.serve(cluster.config(), replicas=1)


def exported(cluster: LocalCluster) -> str:
    return httpx2.get(cluster.metrics_url, timeout=10).text


def total(text: str, metric: str, **labels: str) -> float:
    wanted = [f'{key}="{value}"' for key, value in labels.items()]
    lines = [line for line in text.splitlines() if line.startswith(metric + "{")]
    return sum(float(line.split()[-1]) for line in lines if all(one in line for one in wanted))


def post(cluster: LocalCluster, content: bytes, content_type: str) -> httpx2.Response:
    headers = {"Content-Type": content_type}
    return httpx2.post(f"{cluster.url}/predict", content=content, headers=headers, timeout=30)


def test_a_replica_counts_answers_by_digit_and_names_its_model(service: LocalCluster) -> None:
    text = exported(service)
    before = total(text, "ray_digits_answers_total", digit=str(LABELS[4]))
    images_before = total(text, "ray_digits_batch_images_total")
    post(service, IMAGES[4].tobytes() * 200, "application/octet-stream").raise_for_status()

    def counted() -> bool:
        text = exported(service)
        return total(text, "ray_digits_answers_total", digit=str(LABELS[4])) >= before + 200

    wait_until(counted, timeout_s=30, on_timeout=lambda: exported(service)[-3000:])
    text = exported(service)
    assert total(text, "ray_digits_model_info", name="digits", version="starter") >= 1
    assert total(text, "ray_digits_batches_total", at_most="64") >= 3
    assert total(text, "ray_digits_batch_images_total") >= images_before + 200
    assert total(text, "ray_digits_model_seconds_total") > 0
    assert total(text, "ray_digits_wait_seconds_total") > 0  # the second batch waited for the first


def test_every_query_of_dashboard_and_alerts_has_an_answer(service: LocalCluster, tmp_path: Path) -> None:
    """A real Prometheus scrapes the service; KubeRay's own metrics exist only on a cluster."""
    asked = {query for query in queries() if not is_of_the_operator(query)}
    asked |= {one for alert in alerts() for one in selectors(alert["expr"]) if not is_of_the_operator(one)}
    for unhealthy, healthy in SUBSTITUTES:
        asked = {query.replace(unhealthy, healthy) for query in asked}

    with scraping(service, tmp_path) as prometheus, Traffic(service.url, rate=50):

        def unanswered() -> list[str]:
            assert post(service, b"seven", "text/plain").status_code == 415
            return sorted(query for query in asked if not prometheus.ask(query))

        wait_until(lambda: not unanswered(), timeout_s=180, on_timeout=lambda: "\n".join(unanswered()))
        assert prometheus.broken_rules() == []


def is_of_the_operator(query: str) -> bool:
    """Returns whether a query uses only metrics of KubeRay's operator."""
    return all(name.startswith("kuberay_") for name in metrics(query))


def test_only_three_alerts_need_the_operators_metrics() -> None:
    asking = [alert["alert"] for alert in alerts() if is_of_the_operator(alert["expr"])]
    assert asking == ["DigitsNotReady", "DigitsUpgradeStuck", "DigitsOperatorMissing"]


@pytest.mark.parametrize("query", queries())
def test_each_query_of_the_dashboard_names_a_metric(query: str) -> None:
    assert metrics(query)
