"""The tracking server's address: invalid ones, and no proxy for a server on this machine."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from digits.errors import NotRegistered, TrackingUnavailable
from digits.registry.address import bypass_proxy, tracking_uri
from digits.registry.listing import list_versions
from digits.registry.versions import data_of, resolve


@pytest.mark.parametrize(
    "uri", ["http://h:5000", "https://user@h", "sqlite:////x/mlflow.db", "postgresql://h/x"]
)
def test_an_address_is_taken_as_it_is(uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    assert tracking_uri() == uri


@pytest.mark.parametrize(
    ("uri", "hint"),
    [
        ("127.0.0.1:5000", "probably http://127.0.0.1:5000"),
        ("./mlruns", "http://HOST:PORT"),
        ("file:///x", "sqlite:"),
    ],
)
def test_what_is_no_address_is_refused_with_the_form(
    uri: str, hint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """MLflow would take it for a folder, and write there."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    with pytest.raises(TrackingUnavailable, match=hint):
        tracking_uri()


READERS: dict[str, Callable[[], object]] = {
    "resolve": lambda: resolve("models:/digits@champion"),
    "list_versions": lambda: list_versions("digits"),
    "data_of": lambda: data_of("digits", None),
}


@pytest.mark.parametrize("name", READERS)
def test_reading_creates_no_file(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """MLflow would create an empty one, and then know no model where nothing was ever trained."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(NotRegistered, match=r"no model is registered: .*mlflow\.db does not exist; train"):
        READERS[name]()
    assert list(tmp_path.iterdir()) == []


def test_loopback_alone_is_reached_past_a_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "example.org")
    bypass_proxy("http://mlflow.example.com:5000")
    assert os.environ["no_proxy"] == "example.org"
    bypass_proxy("http://127.0.0.1:5000")
    bypass_proxy("http://127.0.0.1:5000")
    assert os.environ["no_proxy"] == "example.org,127.0.0.1"
