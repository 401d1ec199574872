"""The alerts fire in their case and in no other, by Prometheus' own tool; every query is one."""

import subprocess
from pathlib import Path

import pytest
import yaml

from tests.manifests import ROOT
from tests.monitoring import alerts, queries, rules
from tests.programs import require_program

REQUESTS = 'ray_serve_num_http_requests_total{application="digits", route="/predict", status_code="%s"}'
BUCKET = 'ray_serve_http_request_latency_ms_bucket{application="digits", route="/predict", le="%s"}'
LOADS = 'ray_digits_model_loads_total{outcome="%s"}'
READY = 'kuberay_service_condition_ready{namespace="digits", name="digits", condition="false"}'
UPGRADE = 'kuberay_service_condition_upgrade_in_progress{namespace="digits", name="digits", condition="true"}'
STARTS = 'ray_serve_deployment_replica_starts_total{application="digits"}'
# Series a minute apart, "from+by x times", in which the alert must fire at the end, and in which it must not.
QUIET = {REQUESTS % 200: "0+600x60", REQUESTS % 429: "0+1x60", REQUESTS % 500: "0+1x60"}
CASES: dict[str, tuple[dict[str, str], dict[str, str]]] = {
    "DigitsNotReady": ({READY: "1x60"}, {READY: "0x60"}),
    "DigitsUpgradeStuck": ({UPGRADE: "1x60"}, {UPGRADE: "0x30 1x29"}),
    "DigitsMetricsMissing": ({}, {}),
    "DigitsErrors": ({REQUESTS % 500: "0+20x60"}, {}),
    "DigitsRefuses": ({REQUESTS % 429: "0+20x60"}, {}),
    "DigitsSlow": (
        {BUCKET % 250: "0+500x60", BUCKET % 1000: "0+600x60", BUCKET % "+Inf": "0+600x60"},
        {BUCKET % 250: "0+599x60", BUCKET % 1000: "0+600x60", BUCKET % "+Inf": "0+600x60"},
    ),
    "DigitsQueueGrows": ({"ray_digits_queued_images": "2000x60"}, {"ray_digits_queued_images": "900x60"}),
    "DigitsReplicasDie": ({STARTS: "0+1x60"}, {STARTS: "0x30 3x30"}),
    "DigitsModelRejected": ({LOADS % "rejected": "0x50 1x10"}, {LOADS % "loaded": "0+1x60"}),
    "DigitsRegistryUnreachable": ({LOADS % "unreachable": "0+1x60"}, {LOADS % "unreachable": "0x30 1x30"}),
}


def promtool(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    require_program("promtool", "prometheus")
    return subprocess.run(
        ["promtool", *arguments], cwd=folder, capture_output=True, text=True, timeout=60, check=False
    )


def fires(alert: str, series: dict[str, str], folder: Path) -> bool:
    """Whether promtool agrees that the alert, and it alone of its name, is firing after an hour."""
    (folder / "rules.yaml").write_text(yaml.safe_dump(rules()))
    (rule,) = (rule for rule in alerts() if rule["alert"] == alert)
    labels = dict(rule["labels"])
    if alert in ("DigitsNotReady", "DigitsUpgradeStuck"):
        labels |= {"namespace": "digits", "name": "digits"}
    if alert in ("DigitsModelRejected", "DigitsRegistryUnreachable"):
        labels |= {"outcome": "rejected" if alert == "DigitsModelRejected" else "unreachable"}
    if alert == "DigitsMetricsMissing":
        labels |= {"application": "digits"}
    test = {
        "interval": "1m",
        "input_series": [{"series": name, "values": values} for name, values in series.items()],
        "alert_rule_test": [
            {
                "eval_time": "60m",
                "alertname": alert,
                "exp_alerts": [{"exp_labels": labels, "exp_annotations": rule["annotations"]}],
            }
        ],
    }
    (folder / "test.yaml").write_text(yaml.safe_dump({"rule_files": ["rules.yaml"], "tests": [test]}))
    done = promtool(folder, "test", "rules", "test.yaml")
    if done.returncode:
        assert "got:[]" in done.stdout + done.stderr, done.stdout + done.stderr
    return done.returncode == 0


@pytest.mark.parametrize("alert", [rule["alert"] for rule in alerts()])
def test_an_alert_fires_in_its_case_and_not_otherwise(alert: str, tmp_path: Path) -> None:
    wrong, right = CASES[alert]
    quiet = {} if alert == "DigitsMetricsMissing" else QUIET
    assert fires(alert, quiet | wrong, tmp_path)
    assert not fires(alert, QUIET | right, tmp_path)


def test_every_query_of_the_dashboard_is_one(tmp_path: Path) -> None:
    records = [{"record": f"panel:{number}", "expr": query} for number, query in enumerate(queries())]
    group = {"groups": [{"name": "dashboard", "rules": records}]}
    (tmp_path / "queries.yaml").write_text(yaml.safe_dump(group))
    checked = promtool(tmp_path, "check", "rules", "queries.yaml")
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_every_alert_is_explained() -> None:
    page = (ROOT / "docs" / "monitoring.md").read_text()
    assert [alert["alert"] for alert in alerts() if f"| `{alert['alert']}` |" not in page] == []
