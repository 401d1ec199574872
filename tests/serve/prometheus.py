"""A real Prometheus that scrapes a LocalCluster and adds the labels of kuberay's PodMonitors."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx2

from digits.local.monitor import prometheus_command
from testkit.cluster import LocalCluster, wait_until
from testkit.ports import free_port
from tests.programs import require_program


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
    """Runs Prometheus as `make monitor` does, every second."""
    require_program("prometheus", "prometheus")
    port, log = free_port(), folder / "prometheus.log"
    metrics_port = urlsplit(cluster.metrics_url).port or 0
    command = prometheus_command(folder, metrics_port, port, every="1s")
    with log.open("w") as output, subprocess.Popen(command, stdout=output, stderr=output) as process:
        try:
            prometheus = Prometheus(f"http://127.0.0.1:{port}")
            wait_until(prometheus.is_ready, timeout_s=30, on_timeout=log.read_text)
            yield prometheus
        finally:
            process.terminate()
