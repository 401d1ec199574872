"""Every command of docs/operations.md is executed as it stands there, on a real service under load."""

import json
import os
import re
import resource
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
import yaml

from digits.local.instance import Instance
from digits.local.monitor import prometheus_port
from digits.local.runner import HAPROXY_OPEN_FILES
from testkit.cluster import ROOT, deployment_of, serve_config, wait_until
from testkit.local import serving, wait_for_replicas
from testkit.ports import free_service_port
from testkit.traffic import Traffic
from tests.programs import require_program, skip_or_fail
from tests.serve.under_load import RATE, Figure, described, failed_of

PORT = free_service_port()
PAGE = (ROOT / "docs" / "operations.md").read_text()
BLOCKS = re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL)
RAYS_OWN, EMPTY, KEYS, REQUEST = BLOCKS[:4]
# Commands that other tests execute.
ELSEWHERE = {
    "make serve CONFIG=out/tuned/serve_config.yaml": "test_the_advice_of_tune_is_what_make_serve_runs",
    "make serve PORT=8100": "test_the_advice_of_tune_is_what_make_serve_runs",
    "apt install prometheus": "what installs the program, not a command of this project",
}
DOCTOR, LIMIT = ".venv/bin/python -m digits doctor", f"ulimit -Hn {HAPROXY_OPEN_FILES}"
HERE = {
    "make serve", "make status", "make deploy-config", "make monitor", "make stop", 'eval "$(make -s env)"',
    DOCTOR, LIMIT,
}  # fmt: skip
# `make` without installing anything; ports other than a service of the machine's user may have.
PREFIX = f'make() {{ command make -o .venv/serve.lock "$@"; }}; export PORT={PORT};\n'


def sh(commands: str, *, expect: int = 0, **variables: str) -> str:
    done = subprocess.run(
        ["bash", "-c", PREFIX + commands.replace(":8000/", f":{PORT}/")],
        cwd=ROOT, env=os.environ | variables, capture_output=True, text=True, timeout=170, check=False,
    )  # fmt: skip
    assert done.returncode == expect, done.stdout + done.stderr
    return done.stdout


def test_every_command_of_the_page_is_executed() -> None:
    """Here, or by the test that is named."""
    inline = re.findall(r"`((?:make|eval|ulimit|apt|\.venv)[ /][^`]*)`", PAGE)
    assert set(inline) == HERE | ELSEWHERE.keys()
    assert len(BLOCKS) == 5  # Ray's commands, an empty configuration, keys, a request, completion
    sources = "\n".join(file.read_text() for file in (ROOT / "tests").rglob("test_*.py"))
    for name in ELSEWHERE.values():
        assert " " in name or f"def {name}(" in sources, name


def test_doctor_and_the_limit_run_without_a_service() -> None:
    """doctor may find something on this machine; its status says so."""
    found = sh(f"{DOCTOR}; test $? -le 1")
    assert "serve_config.yaml" in found
    if os.getuid() and resource.getrlimit(resource.RLIMIT_NOFILE)[1] < HAPROXY_OPEN_FILES:
        skip_or_fail("root", "only root may raise the hard limit of open files")
    assert sh(f"ulimit -Sn 1024; {LIMIT}; ulimit -Hn") == f"{HAPROXY_OPEN_FILES}\n"


def edited(file: Path, **changes: object) -> str:
    """Writes serve_config.yaml with changes to its deployment; returns its path."""
    config = serve_config()
    deployment = deployment_of(config)
    if "num_replicas" in changes:
        del deployment["autoscaling_config"]
    user_config = changes.pop("user_config", {})
    deployment |= changes
    deployment["user_config"] |= user_config
    file.write_text(yaml.safe_dump(config))
    return str(file)


@pytest.fixture(scope="module")
def key() -> str:
    return "a-key-of-the-test"


@pytest.fixture(scope="module")
def service(key: str) -> Iterator[subprocess.Popen[str]]:
    """Started by the page's block about keys."""
    commands = KEYS.replace("$(openssl rand -hex 32)", key)
    assert key in commands
    with serving(PORT, command=["bash", "-c", PREFIX + commands]) as runner:
        yield runner


def test_no_change_by_the_page_fails_a_request(
    service: subprocess.Popen[str], key: str, tmp_path: Path, figure: Figure
) -> None:
    """Changes of each kind, a mistake, and Ray's own commands, with steady traffic meanwhile."""
    assert json.loads(sh(REQUEST, KEY=key))["digit"] == 7
    assert "key_missing" in sh(REQUEST.replace("-H", "-A"), KEY=key)
    with Traffic(f"http://127.0.0.1:{PORT}", RATE, headers={"Authorization": f"Bearer {key}"}) as traffic:
        assert "is already running" in sh("make -s deploy-config")
        assert "status: RUNNING" in sh(RAYS_OWN)
        file = edited(tmp_path / "settings.yaml", user_config={"max_batch_size": 32})
        said = sh("make -s deploy-config", CONFIG=file)
        assert re.search(r"-\s+max_batch_size: 64\n\+\s+max_batch_size: 32\n", said)
        assert said.splitlines()[-1].startswith("Ready: ")
        wrong = edited(tmp_path / "wrong.yaml", user_config={"max_batchsize": 32})
        said = sh("make -s deploy-config", CONFIG=wrong, expect=2)
        assert said.startswith("Error: ")
        assert "the nearest known one is 'max_batch_size'" in said
        ignored = edited(tmp_path / "ignored.yaml", num_replica=2)
        said = sh("make -s deploy-config", CONFIG=ignored, expect=2)
        assert "num_replica: unknown key; the nearest known one is 'num_replicas'" in said
        two = edited(tmp_path / "two.yaml", num_replicas=2)
        assert "2 replicas" in sh("make -s deploy-config", CONFIG=two)
        options = {"num_cpus": 1, "runtime_env": {"env_vars": {"DIGITS_TEST": "changed"}}}
        other = edited(tmp_path / "other.yaml", num_replicas=2, ray_actor_options=options)
        assert "2 replicas" in sh("make -s deploy-config", CONFIG=other)
        bounds = deployment_of(serve_config())["autoscaling_config"] | {"min_replicas": 2, "max_replicas": 3}
        shipped = edited(tmp_path / "shipped.yaml", autoscaling_config=bounds)
        assert "status: RUNNING" in sh(RAYS_OWN.replace("serve_config.yaml", shipped))
        wait_for_replicas(PORT, 2)
        assert "Ready: " in sh("make -s status")
    figure(failed_of(traffic))
    assert traffic.failed == [], described(traffic.failed)


def test_monitor_shows_the_service_and_its_alerts(service: subprocess.Popen[str]) -> None:
    """Prometheus scrapes it, every rule can be evaluated, and none fires."""
    require_program("prometheus", "prometheus")
    url = f"http://127.0.0.1:{prometheus_port(Instance(PORT))}/api/v1"
    running = subprocess.Popen(
        ["bash", "-c", PREFIX + "make -s monitor"], cwd=ROOT, stdout=subprocess.PIPE, text=True,
        start_new_session=True,
    )  # fmt: skip
    try:
        assert running.stdout
        assert running.stdout.readline().startswith(f"Prometheus: {url.removesuffix('/api/v1')}/alerts")

        def is_scraped() -> bool:
            try:
                found = httpx2.get(f"{url}/query", params={"query": "ray_digits_model_info == 1"})
            except httpx2.TransportError:
                return False
            if found.status_code == 503:  # it starts
                return False
            return bool(found.json()["data"]["result"])

        wait_until(is_scraped, timeout_s=60)
        groups = httpx2.get(f"{url}/rules").json()["data"]["groups"]
        rules = [rule for group in groups for rule in group["rules"]]
        assert len(rules) > 10
        assert [rule["name"] for rule in rules if rule["health"] == "err" or rule["state"] == "firing"] == []
    finally:
        os.killpg(running.pid, signal.SIGINT)
        running.wait(20)


def test_an_empty_configuration_answers_accepted_requests(service: subprocess.Popen[str], key: str) -> None:
    """Requests get a digit, 404 or 503 until nothing serves any more; none loses its connection."""
    keyed = {"Authorization": f"Bearer {key}"}
    with Traffic(f"http://127.0.0.1:{PORT}", RATE, headers=keyed) as traffic:
        sh(EMPTY)
        status = 'eval "$(make -s env)"; .venv/bin/serve status'
        wait_until(lambda: "applications: {}" in sh(status), timeout_s=60)
    assert {outcome.status for outcome in traffic.failed} <= {404, 503}, described(traffic.failed)


def test_stop_ends_what_the_page_started(service: subprocess.Popen[str]) -> None:
    assert re.fullmatch(rf"Stopped \d+ processes on port {PORT}\n", sh("make -s stop"))
    assert sh("make -s stop") == f"No service of yours runs on port {PORT}\n"
    assert Instance(PORT).running() == []
    assert service.wait(20) in (0, 2)
