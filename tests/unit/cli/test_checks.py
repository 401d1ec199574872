"""`doctor` finds each fault, and says what to do about it."""

import socket
from pathlib import Path

import pytest
import yaml

from digits.cli import checks
from digits.cli.checks import Finding, findings


def problems() -> dict[str, Finding]:
    return {found.about: found for found in findings() if found.problem}


@pytest.fixture(autouse=True)
def quiet_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "PORTS", {})
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)


def test_a_taken_port_is_named_with_its_use(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        monkeypatch.setattr(checks, "PORTS", {port: "requests"})
        assert "requests would listen there" in problems()[f"port {port}"].problem
    assert f"port {port}" not in problems()


@pytest.mark.parametrize(
    ("change", "about"),
    [
        ({"user_config": {"model_uri": "x", "max_batchsize": 1}}, "serve_config.yaml"),
        ({"max_ongoing_requests": 127}, "batches"),
        ({"num_replicas": 4096}, "replicas"),
    ],
)
def test_a_configuration_that_cannot_work_is_found(
    change: dict[str, object], about: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """An unknown key, batches that never fill, more replicas than CPUs."""
    config = yaml.safe_load((checks.ROOT / "serve_config.yaml").read_text())
    config["applications"][0]["deployments"][0] |= change
    (tmp_path / "serve_config.yaml").write_text(yaml.safe_dump(config))
    (tmp_path / "requirements").symlink_to(checks.ROOT / "requirements")
    monkeypatch.setattr(checks, "ROOT", tmp_path)
    assert about in problems()
    assert problems()[about].cure


def test_a_wrong_limit_of_the_gateway_and_a_bad_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DIGITS_EDGE_MAX_HEADERS", "1")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "./mlruns")
    assert problems().keys() >= {"DIGITS_EDGE_...", "MLflow"}
