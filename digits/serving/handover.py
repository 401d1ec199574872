"""The application `handover`, which runs as soon as every worker of its Ray cluster answers requests.

KubeRay moves the traffic to a new cluster once all of its applications run. At that time its workers are not
yet endpoints, because the kubelet has not seen their proxies answer, and for one or two seconds every new
connection would be refused. This application makes KubeRay wait for that time. It waits in its builder, a
task that Serve runs once, so nothing of it stays: neither a process nor a replica that would start again with
the head.
"""

import logging
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from http.client import HTTPException
from urllib.request import ProxyHandler, build_opener

import ray
from pydantic import Field
from ray import serve
from ray.serve import Application
from ray.serve.exceptions import RayServeException
from ray.serve.schema import ApplicationStatus, ProxyStatus

from digits.settings import Settings

NAME = "handover"  # the application's name in kuberay/serve_config_changes.yaml
HEALTH_PATH = "/-/healthz"  # also the path of the workers' readinessProbe
ASK_EVERY_S, ANSWER_WITHIN_S = 0.5, 2.0
MOST_ASKED_AT_ONCE = 16
OPENER = build_opener(ProxyHandler({}))  # a pod's http_proxy is not for other pods
log = logging.getLogger("ray.serve.digits")


class HandoverSettings(Settings):
    """The `args` of the application."""

    port: int = Field(default=8000, gt=0, description="Port on which the workers answer: http_options.port")
    answered_for_s: float = Field(
        # The kubelet probes every 2 s and the endpoint is ready up to 1 s later: 3 s, and a margin.
        default=5.0,
        ge=0,
        description="Seconds for which every worker must have answered without a failure.",
    )
    within_s: float = Field(
        default=120.0,
        gt=0,
        description="Seconds, once the other applications run, after which the application fails.",
    )


@dataclass(frozen=True)
class Seen:
    """The present state of the other applications and the workers."""

    others_run: bool
    answers: dict[str, bool]  # by the address of each worker with a proxy


def wait(
    settings: HandoverSettings,
    look: Callable[[], Seen],
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Returns once the other applications run and every worker has answered for `answered_for_s`.

    While another application does not run it waits without a limit; that application's state gives the
    reason. From then on it waits for `within_s`, then raises RayServeException, the only error after which
    Serve does not retry the task. The application is then DEPLOY_FAILED, and the old cluster keeps the
    traffic.
    """
    answering_since: dict[str, float] = {}
    running_since: float | None = None
    while True:
        seen = look()
        now = clock()
        answering_since = {
            worker: answering_since.get(worker, now) for worker, is_good in seen.answers.items() if is_good
        }
        running_since = (running_since or now) if seen.others_run else None
        silent = seen.answers.keys() - answering_since.keys()
        if running_since is not None:
            longest = max(answering_since.values(), default=now)
            if answering_since and not silent and now - longest >= settings.answered_for_s:
                return
            if now - running_since >= settings.within_s:
                raise RayServeException(_late(settings, sorted(silent) or sorted(seen.answers)))
        sleep(ASK_EVERY_S)


def _late(settings: HandoverSettings, workers: list[str]) -> str:
    where = ", ".join(f"http://{worker}:{settings.port}{HEALTH_PATH}" for worker in workers)
    return (
        f"The applications run, but within {settings.within_s:g} s not every worker answered for "
        f"{settings.answered_for_s:g} s without a failure: {where or 'no node with CPUs has a proxy'}. "
        "The old cluster keeps the traffic. Check the logs of these workers, and whether the port is "
        "blocked. To try again, change the Serve configuration; a comment is enough."
    )


def look(port: int) -> Seen:
    """Returns the state of Serve and of the workers. A head without CPUs has no replica and is left out."""
    status = serve.status()
    others = [one.status for name, one in status.applications.items() if name != NAME]
    gone = (ProxyStatus.DRAINING, ProxyStatus.DRAINED)
    proxies = {node for node, state in status.proxies.items() if state not in gone}
    workers = [
        node["NodeManagerAddress"]
        for node in ray.nodes()  # type: ignore[no-untyped-call]
        if node["Alive"] and node["NodeID"] in proxies and node["Resources"].get("CPU", 0) > 0
    ]
    with ThreadPoolExecutor(MOST_ASKED_AT_ONCE) as asking:
        answers = list(asking.map(lambda worker: _answers(worker, port), workers))
    return Seen(
        others_run=bool(others) and all(one == ApplicationStatus.RUNNING for one in others),
        answers=dict(zip(workers, answers, strict=True)),
    )


def _answers(worker: str, port: int) -> bool:
    try:
        with OPENER.open(f"http://{worker}:{port}{HEALTH_PATH}", timeout=ANSWER_WITHIN_S) as answer:
            return bool(answer.status == 200)
    except (OSError, HTTPException):
        return False


@serve.deployment(autoscaling_config={"min_replicas": 0, "max_replicas": 1})
class Nothing:
    """An empty deployment, which Serve requires in each application: no route, and never a replica."""


def app(settings: HandoverSettings) -> Application:
    """Waits, then returns the application; serve_config names it as import_path."""
    log.info("waiting until every worker answers: %s", settings)
    wait(settings, lambda: look(settings.port))
    return Nothing.bind()  # type: ignore[attr-defined,no-any-return]
