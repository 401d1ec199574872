"""Each assumption about private behaviour of Ray holds for the installed Ray.  Starts no cluster."""

from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from digits.gateway.environment import ROOT
from digits.ray_internals import ASSUMPTIONS, PAGE, Assumption, with_table

pytestmark = pytest.mark.filterwarnings("ignore::pydantic.PydanticDeprecatedSince20")  # in Ray's own models


def assumption(name: str) -> Assumption:
    (found,) = [one for one in ASSUMPTIONS if one.check.__name__ == name]
    return found


@pytest.mark.parametrize("name", [one.check.__name__ for one in ASSUMPTIONS])
def test_the_installed_ray_behaves_as_assumed(name: str) -> None:
    one = assumption(name)
    assert one.failure() == "", f"{one.what}: used in {', '.join(one.where_used)}"


@pytest.mark.parametrize("name", [one.check.__name__ for one in ASSUMPTIONS])
def test_an_assumption_names_files_that_exist(name: str) -> None:
    places = assumption(name).where_used
    assert places
    assert [place for place in places if not (ROOT / place).exists()] == []


def test_the_page_shows_todays_table() -> None:
    """`.venv/bin/python -m digits.ray_internals` rewrites it."""
    assert PAGE.read_text() == with_table(PAGE.read_text())


def answers_json(status: Any, response_started: bool) -> list[dict[str, Any]]:
    """Another Ray's send_http_response_on_exception."""
    headers = [(b"content-type", b"application/json")]
    return [{"type": "http.response.start", "status": status.code, "headers": headers}]


CHANGES: dict[str, tuple[str, str, object]] = {
    "plain_errors": ("ray.serve._private.http_util", "send_http_response_on_exception", answers_json),
    "watchdog_headers": ("ray.serve._private.http_util", "parse_disconnect_disabled_header", lambda _: False),
    "haproxy_configuration": ("ray.serve._private.haproxy", "HAPROXY_CONFIG_TEMPLATE", "global\n"),
    "haproxy_buffer": ("digits.ray_internals", "HAPROXY_BUFFERED_BYTES", 15 * 1024),
    "logger_name": ("ray.serve._private.constants", "SERVE_LOGGER_NAME", "ray.serving"),
    "loopback_node": ("ray._private.ray_constants", "ENABLE_RAY_CLUSTERS_ENV_VAR", "RAY_CLUSTER"),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_changed_ray_is_noticed(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    module, attribute, other = CHANGES[name]
    monkeypatch.setattr(import_module(module), attribute, other)
    assert assumption(name).failure() != ""


def test_a_private_name_that_is_gone_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr("ray.serve._private.replica.SERVE_BUILD_ASGI_APP_METHOD")
    assert assumption("late_ingress").failure().startswith("AttributeError")


def test_a_changed_source_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "read_text", lambda self: "")
    assert assumption("legacy_keras").failure().startswith("ray.train.tensorflow.config does not hold")
