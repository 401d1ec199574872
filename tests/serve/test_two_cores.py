"""What the comments of serve_config.yaml recommend, by plain `serve run` where Ray counts two CPUs."""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from testkit.cluster import BIN, ROOT, LocalCluster, deployment_of, wait_until
from testkit.traffic import Traffic
from tests.serve.under_load import RATE, Figure, described, failed_of, with_variables

COMMENTS = "\n".join(re.findall(r"#.*", (ROOT / "serve_config.yaml").read_text()))


def advised() -> Any:
    """Returns serve_config.yaml with the fixed number of replicas that its comments recommend."""
    found = re.findall(r"(num_replicas|max_surge_percent): (\d+)", COMMENTS)
    assert [name for name, _ in found] == ["num_replicas", "max_surge_percent"]
    config = yaml.safe_load((ROOT / "serve_config.yaml").read_text())
    deployment = deployment_of(config)
    del deployment["autoscaling_config"]
    deployment |= {name: int(value) for name, value in found}
    return config


class TwoCores(LocalCluster):
    cpus = 2


@pytest.fixture
def two_cores(tmp_path: Path) -> Iterator[LocalCluster]:
    """Plain `serve run` with the advised configuration, without serve.env."""
    log, file = tmp_path / "log", tmp_path / "config.yaml"
    with log.open("w") as output, TwoCores() as cluster:
        config = advised()
        config["http_options"]["port"] = cluster.port
        file.write_text(yaml.safe_dump(config))
        command = [str(BIN / "serve"), "run", str(file)]
        run = subprocess.Popen(command, cwd=ROOT, env=cluster.environment, stdout=output, stderr=output)
        cluster.wait_until_running_are(2, timeout_s=120)
        wait_until(cluster.ready, timeout_s=60, on_timeout=log.read_text)
        yield cluster
    run.wait(30)


def test_the_advised_replicas_start_and_are_replaced(two_cores: LocalCluster, figure: Figure) -> None:
    """Two replicas on two CPUs, in use while a change that restarts them is rolled out."""
    before = set(two_cores.wait_until_running_are(2))
    changed = with_variables(advised(), DIGITS_TEST="changed")
    changed["http_options"]["port"] = two_cores.port
    with Traffic(two_cores.url, RATE) as traffic:
        start = traffic.now
        two_cores.apply(changed)
        wait_until(
            lambda: (pids := two_cores.running(2)) and not set(pids) & before,
            timeout_s=120,
            on_timeout=lambda: two_cores.run("serve", "status"),
        )
        two_cores.wait_until_running()
        took_s = traffic.now - start
    figure(f"{failed_of(traffic)}; both were replaced in {took_s:.0f} s")
    assert traffic.failed == [], described(traffic.failed)
