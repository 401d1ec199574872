"""A real Prometheus that scrapes a LocalCluster and adds the labels of kuberay's PodMonitors."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx2
import yaml

from testkit.cluster import LocalCluster, free_port, wait_until
from tests.programs import require_program
from tests.rules.monitoring import rules


class Prometheus:
    def __init__(self, url: str) -> None:
        self._url = url

    def is_ready(self) -> bool:
        try:
            return httpx2.get(f"{self._url}/-/ready", timeout=5).status_code == 200
        except httpx2.TransportError:
            return False

    def ask(self, query: str) -> list[Any]:
        """Returns the series of a query without those that are NaN: zero divided by zero is no data."""
        found: list[Any] = self._get("query", query=query)["result"]
        return [one for one in found if one["value"][1] != "NaN"]

    def broken_rules(self) -> list[str]:
        evaluated = [rule for group in self._get("rules")["groups"] for rule in group["rules"]]
        return [rule["name"] for rule in evaluated if rule["health"] != "ok"]

    def _get(self, what: str, **parameters: str) -> dict[str, Any]:
        response = httpx2.get(f"{self._url}/api/v1/{what}", params=parameters, timeout=10)
        answer: dict[str, Any] = response.raise_for_status().json()["data"]
        return answer


@contextmanager
def scraping(cluster: LocalCluster, folder: Path) -> Iterator[Prometheus]:
    """Runs Prometheus with the project's alert rules."""
    require_program("prometheus", "prometheus")
    target = {
        "targets": [urlsplit(cluster.metrics_url).netloc],
        "labels": {"ray_io_cluster": "digits-local"},
    }
    config = {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": ["rules.yaml"],
        "scrape_configs": [{"job_name": "digits/digits-ray", "static_configs": [target]}],
    }
    (folder / "rules.yaml").write_text(yaml.safe_dump(rules()))
    (folder / "prometheus.yaml").write_text(yaml.safe_dump(config))
    address, log = f"127.0.0.1:{free_port()}", folder / "prometheus.log"
    command = [
        "prometheus", f"--config.file={folder / 'prometheus.yaml'}", f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address={address}",
    ]  # fmt: skip
    with log.open("w") as output, subprocess.Popen(command, stdout=output, stderr=output) as process:
        try:
            prometheus = Prometheus(f"http://{address}")
            wait_until(prometheus.is_ready, timeout_s=30, on_timeout=log.read_text)
            yield prometheus
        finally:
            process.terminate()
