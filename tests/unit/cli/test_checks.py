"""`doctor` finds each fault, and says what to do about it."""

import socket
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from digits.cli import checks
from digits.cli.checks import Finding, findings
from digits.errors import InvalidSettings
from digits.gateway.environment import ROOT
from digits.local import schema
from digits.local.instance import Instance


def problems() -> dict[str, Finding]:
    return {found.about: found for found in findings() if found.problem}


@pytest.fixture(autouse=True)
def quiet_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "PORTS", {})
    monkeypatch.setattr(Instance, "runner", lambda self: None)
    monkeypatch.setattr(schema, "check_by_rays_schema", lambda config: [])  # loads Ray
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)


def test_a_taken_port_is_named_with_its_use(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        monkeypatch.setattr(checks, "PORTS", {"requests": port})
        assert problems()[f"port {port} (requests)"].problem.endswith(" listens there")
    assert f"port {port} (requests)" not in problems()


def test_ports_of_the_own_service_are_no_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "PORTS", {"requests": 8000})
    monkeypatch.setattr(checks, "is_free", lambda port: False)
    monkeypatch.setattr(Instance, "runner", lambda self: 1 if self.port == 8000 else None)
    about = "port 8000 (requests, for your running service)"
    assert [found.problem for found in findings() if found.about == about] == [""]


def test_the_ports_of_the_configuration_are_checked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(checks, "PORTS", {"metrics": 8080})
    monkeypatch.setattr(checks, "is_free", lambda port: False)
    monkeypatch.setattr(checks, "ROOT", tmp_path)
    (tmp_path / "requirements").symlink_to(ROOT / "requirements")
    (tmp_path / "serve_config.yaml").write_text("http_options: {port: 9000}")
    assert "port 9080 (metrics)" in problems()


@pytest.mark.parametrize(
    ("change", "about"),
    [
        ({"user_config": {"model_uri": "x", "max_batchsize": 1}}, "serve_config.yaml"),
        ({"max_ongoing_requests": 127}, "batches"),
        ({"max_ongoing_requests": 512, "max_queued_requests": 512}, "429"),
        ({"max_queued_requests": 2000}, "429"),
        ({"max_queued_requests": -1}, "429"),  # no limit
        ({"max_ongoing_requests": 200}, "429"),
        ({"num_replicas": 4096, "autoscaling_config": None}, "replicas"),
        ({"num_replicas": "auto", "autoscaling_config": None}, "replicas"),
        ({"user_config": {"model_uri": "models/none"}}, "serve_config.yaml"),
        ({"name": "Other"}, "serve_config.yaml"),
        ({"user_config": None}, "serve_config.yaml"),
    ],
)
def test_a_configuration_that_cannot_work_is_found(
    change: dict[str, object], about: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A wrong key or model, batches that never fill, limits that are not reached, too few CPUs."""
    config = yaml.safe_load((ROOT / "serve_config.yaml").read_text())
    config["applications"][0]["deployments"][0] |= change
    (tmp_path / "serve_config.yaml").write_text(yaml.safe_dump(config))
    (tmp_path / "requirements").symlink_to(ROOT / "requirements")
    monkeypatch.setattr(checks, "ROOT", tmp_path)
    assert about in problems()
    assert problems()[about].fix


def test_the_shipped_configuration_is_consistent() -> None:
    assert {"serve_config.yaml", "batches", "429"} & problems().keys() == set()


def test_what_rays_schema_refuses_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(config: object) -> None:
        raise InvalidSettings("num_replica: unknown key; the nearest known one is 'num_replicas'")

    monkeypatch.setattr(schema, "check_by_rays_schema", refuse)
    assert "num_replica: unknown key" in problems()["serve_config.yaml"].problem


@pytest.mark.parametrize(
    ("variables", "mode", "problem"),
    [
        ({"RAY_AUTH_TOKEN_PATH": "/nowhere/token"}, 0o600, "its service may have ended"),
        ({"RAY_AUTH_MODE": "token"}, None, "RAY_AUTH_MODE is token, but there is no token"),
        ({"RAY_AUTH_MODE": "token"}, 0o644, "other users can read"),
        ({"RAY_AUTH_MODE": "token"}, 0o600, ""),
        ({}, None, ""),
    ],
)
def test_a_token_that_cannot_serve_is_found(
    variables: dict[str, str], mode: int | None, problem: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """`mode` is that of ~/.ray/auth_token, None if there is no such file."""
    for name in ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("HOME", str(tmp_path))
    if mode:
        (tmp_path / ".ray").mkdir()
        (tmp_path / ".ray" / "auth_token").touch()
        (tmp_path / ".ray" / "auth_token").chmod(mode)  # whatever the umask
    found = problems().get("token", Finding("token", "", ""))
    assert problem in found.problem
    assert bool(found.problem) is bool(problem)


def test_a_wrong_limit_of_the_gateway_and_a_bad_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DIGITS_EDGE_MAX_HEADERS", "1")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "./mlruns")
    found = problems()
    assert found["DIGITS_EDGE_..."].problem.startswith("DIGITS_EDGE_MAX_HEADERS: Input should be greater")
    assert found["MLflow"].fix


def test_doctor_reports_each_check() -> None:
    """A line for each, and a fix below each that failed."""
    command = [sys.executable, "-m", "digits", "doctor"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    lines = done.stdout.splitlines()
    well, ill, cures = (
        [line for line in lines if line.startswith(begin)] for begin in ("ok  ", "no  ", "    -> ")
    )
    assert len(well) + len(ill) + len(cures) == len(lines), done.stdout + done.stderr
    assert len(ill) == len(cures)
    assert done.returncode == bool(ill)
    named = {line[4:].partition(":")[0] for line in well + ill}
    assert {"serve_config.yaml", "port 8000 (requests)", "open files", "token", "packages", "MLflow"} <= named
