"""Each alert fires only in its case, and the monitors select Ray's pods."""

import re
import subprocess
from pathlib import Path

import pytest
import yaml

from project.documents import ROOT
from tests.programs import require_program
from tests.rules.manifests import Object, Pod, render
from tests.rules.monitoring import alerts, queries, rules, selectors

Series = dict[str, str]  # one value a minute in promtool's notation: "start+step x count", "_" for no value

REQUESTS = 'ray_serve_num_http_requests_total{application="digits", route="/predict", status_code="%s"}'
BUCKET = 'ray_serve_http_request_latency_ms_bucket{application="digits", route="/predict", le="%s"}'
LOADS = 'ray_digits_model_loads_total{outcome="%s"}'
KUBERAY = 'kuberay_service_%s{namespace="digits", name="digits"%s}'
NOT_READY = KUBERAY % ("condition_ready", ', condition="false"')
UPGRADE = KUBERAY % ("condition_upgrade_in_progress", ', condition="true"')
OPERATOR = KUBERAY % ("info", "")
UP = 'up{job="digits/digits-ray"}'
GCS = 'ray_gcs_actors_count{ray_io_cluster="%s"}'
MODEL = 'ray_digits_model_info{name="digits", version="7"}'
PROCESSING = 'ray_serve_replica_processing_queries{application="digits",replica="a"}'
REJECTED = 'ray_digits_config_rejected{ray_io_cluster="digits-ab12c"}'
QUEUED = "ray_digits_queued_images"
STARTED = 'ray_serve_replica_startup_latency_ms_count{application="digits"}'
APPLICATION = 'ray_serve_application_status{ray_io_cluster="digits-ab12c", application="%s"}'
HEALTHY = 'ray_serve_deployment_replica_healthy{application="digits"}'
HEALTHY_SERIES = {
    REQUESTS % 200: "0+600x60", REQUESTS % 415: "0+300x60",
    REQUESTS % 429: "0+1x60", REQUESTS % 500: "0+1x60", PROCESSING: "20x60",
    BUCKET % 250: "0+600x60", BUCKET % "+Inf": "0+600x60", LOADS % "loaded": "1x60", QUEUED: "5x60",
    OPERATOR: "1x60", UP: "1x60", GCS % "digits-ab12c": "9x60",
    APPLICATION % "digits": "6x60", APPLICATION % "handover": "6x60",
    MODEL: "1x60", REJECTED: "0x60", STARTED: "2x60", HEALTHY: "2x60",
}  # fmt: skip

# For each alert, changes of HEALTHY_SERIES with which it must fire, and changes with which it just must not.
CASES: dict[str, tuple[Series, Series]] = {
    "DigitsNotReady": ({NOT_READY: "_x50 1x10"}, {NOT_READY: "_x59 1x1"}),
    "DigitsUpgradeStuck": ({UPGRADE: "1x60"}, {UPGRADE: "_x31 1x29"}),
    "DigitsDeployFailed": (
        {APPLICATION % "handover": "6x50 1x10"},
        {APPLICATION % "handover": "6x50 5x5 6x5"},
    ),
    "DigitsHandoverWaits": (
        {APPLICATION % "handover": "5x60"},
        {APPLICATION % "digits": "5x60", APPLICATION % "handover": "5x60"},
    ),
    "DigitsNoReplica": ({MODEL: "1x50 _x10"}, {MODEL: "1x50 _x10", UP: "1x50 0x10"}),
    "DigitsMetricsMissing": ({UP: "1x40 0x20"}, {UP: "1x52 0x8"}),
    "DigitsHeadMissing": (
        {GCS % "digits-ab12c": "9x40 _x20", GCS % "digits-training-ab12c": "9x60"},
        {GCS % "digits-ab12c": "9x40 _x20", GCS % "digits-de34f": "_x40 9x20"},  # an upgrade
    ),
    "DigitsOperatorMissing": ({OPERATOR: "1x40 _x20"}, {OPERATOR: "1x52 _x8"}),
    "DigitsErrors": ({REQUESTS % 500: "_x50 5+20x10"}, {REQUESTS % 500: "0+6x60"}),
    "DigitsRefuses": ({REQUESTS % 429: "0+20x60"}, {REQUESTS % 429: "0+6x60"}),
    "DigitsFull": ({PROCESSING: "256x60"}, {PROCESSING: "190x60"}),
    "DigitsSlow": (
        {BUCKET % 250: "0+500x60", BUCKET % 1000: "0+600x60"},
        {BUCKET % 250: "0+599x60", BUCKET % 1000: "0+600x60"},
    ),
    "DigitsQueueGrows": ({QUEUED: "2000x60"}, {QUEUED: "900x60"}),
    "DigitsReplicasDie": ({STARTED: "2x50 2+1x10"}, {STARTED: "2x50 8x10"}),
    "DigitsModelRejected": ({LOADS % "rejected": "_x50 1x10"}, {LOADS % "rejected": "_x30 1x30"}),
    "DigitsConfigRejected": ({REJECTED: "0x50 1x10"}, {REJECTED: "0x59 1x1"}),
    "DigitsChampionUnavailable": (
        {LOADS % "unavailable": "_x30 1+12x30"},
        {LOADS % "unavailable": "_x57 1+12x3"},
    ),
    "DigitsRegistryUnreachable": (
        {LOADS % "unreachable": "_x30 1+12x30"},
        {LOADS % "unreachable": "_x50 1+12x10"},
    ),
}
LABELS = {
    "DigitsNotReady": {"namespace": "digits", "name": "digits"},
    "DigitsUpgradeStuck": {"namespace": "digits", "name": "digits"},
    "DigitsDeployFailed": {"ray_io_cluster": "digits-ab12c", "application": "handover"},
    "DigitsHandoverWaits": {"ray_io_cluster": "digits-ab12c"},
    "DigitsHeadMissing": {"namespace": "digits"},
    "DigitsOperatorMissing": {"namespace": "digits", "name": "digits"},
    "DigitsModelRejected": {"outcome": "rejected"},
    "DigitsConfigRejected": {"ray_io_cluster": "digits-ab12c"},
    "DigitsChampionUnavailable": {"outcome": "unavailable"},
    "DigitsRegistryUnreachable": {"outcome": "unreachable"},
}


def of(namespace: str, series: Series) -> Series:
    """Returns the series with the label that the Prometheus operator gives each target of a namespace."""
    return {
        (f'{name[:-1]}, namespace="{namespace}"}}' if "{" in name else f'{name}{{namespace="{namespace}"}}')
        if name.startswith("ray_")
        else name: values
        for name, values in series.items()
    }


def promtool(folder: Path, kind: str, content: Object) -> None:
    require_program("promtool", "prometheus")
    (folder / "file.yaml").write_text(yaml.safe_dump(content))
    command = ["promtool", kind, "rules", "file.yaml"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def expect_after_an_hour(
    firing: set[str], series: Series, folder: Path, others: Series | None = None
) -> None:
    """Asserts that exactly these alerts fire, with their labels and texts, beside the series of others."""
    others = others or {}
    (folder / "rules.yaml").write_text(yaml.safe_dump(rules()))
    test = {
        "interval": "1m",
        "input_series": [
            {"series": name, "values": values} for name, values in (of("digits", series) | others).items()
        ],
        "alert_rule_test": [
            {"eval_time": "60m", "alertname": name, "exp_alerts": [_alert(rule)] if name in firing else []}
            for rule in alerts()
            if (name := rule["alert"])
        ],
    }
    promtool(folder, "test", {"rule_files": ["rules.yaml"], "tests": [test]})


def _alert(rule: Object) -> Object:
    labels = rule["labels"] | LABELS.get(rule["alert"], {})
    annotations = {name: _filled(text, labels) for name, text in rule["annotations"].items()}
    return {"exp_labels": labels, "exp_annotations": annotations}


def _filled(text: str, labels: Series) -> str:
    return re.sub(r"{{ \$labels\.(\w+) }}", lambda found: labels[found[1]], text)


def test_every_alert_has_a_case() -> None:
    assert [rule["alert"] for rule in alerts()] == list(CASES)


@pytest.mark.parametrize("alert", CASES)
def test_only_the_alert_of_a_case_fires_in_it(alert: str, tmp_path: Path) -> None:
    expect_after_an_hour({alert}, HEALTHY_SERIES | CASES[alert][0], tmp_path)


@pytest.mark.parametrize("alert", CASES)
def test_no_alert_fires_just_below_its_threshold(alert: str, tmp_path: Path) -> None:
    expect_after_an_hour(set(), HEALTHY_SERIES | CASES[alert][1], tmp_path)


@pytest.mark.parametrize("alert", CASES)
def test_no_alert_fires_for_another_namespace(alert: str, tmp_path: Path) -> None:
    """The same Prometheus may scrape other people's Ray Serve, or a second namespace with this service."""
    theirs = {name: values for name, values in CASES[alert][0].items() if name.startswith("ray_")}
    expect_after_an_hour(set(), HEALTHY_SERIES, tmp_path, of("staging", theirs))


@pytest.mark.parametrize("alert", ["DigitsNoReplica", "DigitsHeadMissing"])
def test_another_namespace_hides_no_outage(alert: str, tmp_path: Path) -> None:
    theirs = of("staging", HEALTHY_SERIES)
    others = {name: values for name, values in theirs.items() if name.startswith("ray_")}
    expect_after_an_hour({alert}, HEALTHY_SERIES | CASES[alert][0], tmp_path, others)


@pytest.mark.parametrize("query", queries())
def test_the_dashboard_shows_only_this_namespace(query: str) -> None:
    assert [one for one in selectors(query) if 'namespace="digits"' not in one] == []


@pytest.mark.parametrize("rule", alerts(), ids=lambda rule: rule["alert"])
def test_an_alert_has_a_severity_and_says_what_to_do(rule: Object) -> None:
    assert rule["labels"]["severity"] in ("critical", "warning", "info")
    assert rule["annotations"]["summary"]
    assert rule["annotations"]["description"]


def test_every_query_is_valid(tmp_path: Path) -> None:
    promtool(tmp_path, "check", rules())
    panels = [{"record": f"panel:{number}", "expr": query} for number, query in enumerate(queries())]
    promtool(tmp_path, "check", {"groups": [{"name": "dashboard", "rules": panels}]})


def test_no_mean_of_batches_or_waits_divides_by_answers() -> None:
    """A batch holds every candidate of a picture, and health checks; a rejected picture is no answer."""
    of_batches = re.compile("ray_digits_(batches|wait_seconds)_total")
    lines = [*queries(), *(ROOT / "docs" / "runbook.md").read_text().splitlines()]
    means = [line for line in lines if of_batches.search(line)]
    assert len(means) > 3
    assert [line for line in means if "ray_digits_answers_total" in line] == []


def is_of_ray(pod: Pod) -> bool:
    return "ray.io/is-ray-node" in pod.labels


@pytest.mark.parametrize("pods_of", ["production", "production-training"])
def test_pod_monitors_select_only_ray_pods_and_their_ports(pods_of: str) -> None:
    monitors = render("overlays/production").of("PodMonitor")
    pods = render(f"overlays/{pods_of}").pods()
    seen = set()
    for monitor in monitors:
        selected = [
            pod for pod in pods if monitor["spec"]["selector"]["matchLabels"].items() <= pod.labels.items()
        ]
        assert selected
        assert [pod.where for pod in selected if not is_of_ray(pod)] == []
        for pod in selected:
            ports = {port["name"] for container in pod.containers for port in container.get("ports", [])}
            asked = {endpoint["port"] for endpoint in monitor["spec"]["podMetricsEndpoints"]}
            assert asked <= ports, pod.where
            seen |= {(pod.where, port) for port in asked}
    assert {where for where, port in seen if port == "metrics"} == {
        pod.where for pod in pods if is_of_ray(pod)
    }
