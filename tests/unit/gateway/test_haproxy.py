"""HAProxy's configuration before and after, and the environment that leads to it."""

import json
import re
from importlib.metadata import distribution
from pathlib import Path

import pytest

from digits.gateway.haproxy import BUFFERED, OWN_ERRORS, own_error, tightened
from digits.gateway.middleware import HAPROXY_BUFFERS
from digits.problems import PROBLEMS
from testkit.cluster import read_serve_env

ROOT = Path(__file__).parents[3]
# The lines of Ray 2.60's configuration that matter here, as it renders them.
RAYS = """global
    stats socket /tmp/a/admin.sock mode 666 level admin expose-fd listeners
    maxconn 4096
defaults
    timeout connect 5s
    timeout client 30s
    errorfile 502 /tmp/a/500.http
    errorfile 503 /tmp/a/500.http
    errorfile 504 /tmp/a/500.http
frontend prometheus
    bind :9101
    mode http
frontend http_frontend
    bind *:8000
listen stats
  bind *:8404
  stats enable
"""
RUN = """global
    stats socket /tmp/a/admin.sock mode 600 level admin expose-fd listeners
    maxconn 4096
    tune.pool-low-fd-ratio 90
    tune.pool-high-fd-ratio 95
defaults
    timeout connect 5s
    timeout client 30s
    timeout http-request 10s
    errorfile 502 /tmp/a/502.http
    errorfile 503 /tmp/a/503.http
    errorfile 504 /tmp/a/504.http
frontend prometheus
    bind 127.0.0.1:9101
    mode http
frontend http_frontend
    bind *:8000
    http-request wait-for-body time 10s unless { req.body_size gt 15360 }
    http-response del-header server
listen stats
  bind 127.0.0.1:8404
  stats enable
"""


def test_rays_configuration_is_tightened_and_the_service_stays_where_it_listens() -> None:
    assert tightened(RAYS) == RUN


def test_a_body_that_haproxy_does_not_wait_for_is_waited_for_by_the_edge() -> None:
    assert BUFFERED == HAPROXY_BUFFERS


def test_a_configuration_that_is_tight_already_stays_as_it_is() -> None:
    assert tightened(RUN) == RUN


@pytest.mark.parametrize(
    "line",
    ["mode 666", "bind :9101", "bind *:8404", "timeout client", "errorfile 50", "maxconn", "bind *:8000"],
)
def test_a_configuration_without_a_line_that_must_change_is_refused(line: str) -> None:
    without = "".join(kept for kept in RAYS.splitlines(keepends=True) if line not in kept)
    with pytest.raises(ValueError, match="Ray's HAProxy configuration has nothing like"):
        tightened(without)


@pytest.mark.parametrize("code", OWN_ERRORS)
def test_an_error_of_haproxys_own_is_a_whole_response_with_a_problem(code: str) -> None:
    head, body = own_error(code).split("\r\n\r\n")
    assert head.startswith(f"HTTP/1.1 {PROBLEMS[code].status} ")
    assert f"Content-Length: {len(body)}" in head.splitlines()
    assert json.loads(body)["code"] == code


def test_the_program_can_be_started() -> None:
    assert (ROOT / "digits" / "gateway" / "haproxy.py").stat().st_mode & 0o111


def test_serve_env_holds_variables_that_ray_reads_each_with_its_reason() -> None:
    source = distribution("ray").locate_file("ray/serve/_private/constants.py")
    known = Path(str(source)).read_text()
    assert [name for name in read_serve_env() if f'"{name}"' not in known] == []
    for name in read_serve_env():
        assert re.search(rf"(?m)^(# .*|RAY_\w+=.*)\n{name}=", (ROOT / "serve.env").read_text()), name


def test_serve_env_names_the_edge() -> None:
    module, name = read_serve_env()["RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH"].split(":")
    assert f"def {name}()" in (ROOT / module.replace(".", "/")).with_suffix(".py").read_text()


def test_haproxy_waits_longer_for_a_replica_than_a_request_may_wait_in_it() -> None:
    limit = re.search(r"queue_timeout_s: (\d+)", (ROOT / "serve_config.yaml").read_text())
    assert limit
    assert int(read_serve_env()["RAY_SERVE_HAPROXY_TIMEOUT_SERVER_S"]) > int(limit[1])
