"""Prometheus with the alerts of kuberay/components/monitoring, for one service on this machine."""

import shutil
from pathlib import Path
from typing import Any

import yaml

from digits.errors import InvalidSettings
from digits.gateway.environment import ROOT
from digits.local.instance import DEFAULT_PORT, Instance
from digits.local.ports import holder, is_free

PORT = 9090  # beside a service on port 8000
MONITORING = ROOT / "kuberay" / "components" / "monitoring"
DASHBOARD = MONITORING / "dashboard.json"


def prometheus_port(instance: Instance) -> int:
    """Returns the port of Prometheus: as far from PORT as the service is from DEFAULT_PORT."""
    return PORT + instance.port - DEFAULT_PORT


def rules() -> dict[str, Any]:
    """Returns the alerts, without those about KubeRay's operator: its metrics exist only in a cluster."""
    found: dict[str, Any] = yaml.safe_load((MONITORING / "rules.yaml").read_text())["spec"]
    for group in found["groups"]:
        group["rules"] = [rule for rule in group["rules"] if "kuberay_" not in rule["expr"]]
    return found


def full_from() -> int:
    """Returns the requests in progress per replica above which the alert DigitsFull fires."""
    every = [rule for group in rules()["groups"] for rule in group["rules"]]
    (expr,) = (rule["expr"] for rule in every if rule["alert"] == "DigitsFull")
    return int(expr.rpartition(">")[2])


def prometheus_command(folder: Path, metrics_port: int, port: int, every: str = "5s") -> list[str]:
    """Writes Prometheus' configuration into the folder; returns the command to run it on loopback.

    It scrapes the metrics and evaluates the alerts at the interval `every`, with the labels of kuberay's
    PodMonitors. Raises InvalidSettings if Prometheus is not installed or its port is taken.
    """
    if shutil.which("prometheus") is None:
        raise InvalidSettings("prometheus is not installed; on Debian and Ubuntu: apt install prometheus")
    if not is_free(port):
        raise InvalidSettings(f"port {port} (Prometheus) is held by {holder(port)}: stop it first")
    target = {
        "targets": [f"127.0.0.1:{metrics_port}"],
        "labels": {"namespace": "digits", "ray_io_cluster": "digits-local"},
    }
    config = {
        "global": {"scrape_interval": every, "evaluation_interval": every},
        "rule_files": ["rules.yaml"],
        "scrape_configs": [{"job_name": "digits/digits-ray", "static_configs": [target]}],
    }
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "rules.yaml").write_text(yaml.safe_dump(rules()))
    (folder / "prometheus.yaml").write_text(yaml.safe_dump(config))
    return [
        "prometheus", f"--config.file={folder / 'prometheus.yaml'}", f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}", "--log.level=warn",
    ]  # fmt: skip
