"""What the running service says: Ray's dashboard and /readyz.  The library's own client would load Ray."""

import json
from dataclasses import dataclass
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import ProxyHandler, Request, build_opener

import yaml

from digits.errors import InvalidSettings, NotReady
from digits.local.config import DEPLOYMENT, Config
from digits.local.instance import Instance

APPLICATIONS = "/api/serve/applications/"
ASK_WITHIN_S = 5
PUT_WITHIN_S = 60
OPENER = build_opener(ProxyHandler({}))  # http_proxy is not for loopback


@dataclass(frozen=True)
class State:
    """What Ray Serve says of the application that has this project's deployment."""

    status: str  # of the application: DEPLOYING, RUNNING, DEPLOY_FAILED, UNHEALTHY, ...
    reason: str  # the last line of Ray's message; "" if nothing is wrong
    replicas: int  # running ones
    changing: int  # those that start, stop or are being changed
    config: Config | None  # what was deployed last


class Service:
    def __init__(self, instance: Instance) -> None:
        self._instance = instance

    def state(self) -> State | None:
        """None unless the application is there.  Raises NotReady if nothing answers."""
        applications = self._ask("GET").get("applications", {})
        for application in applications.values():
            if deployment := application.get("deployments", {}).get(DEPLOYMENT):
                states = [replica["state"] for replica in deployment.get("replicas", [])]
                return State(
                    application["status"],
                    _last_line(application.get("message", "")) or _last_line(deployment.get("message", "")),
                    states.count("RUNNING"),
                    len(states) - states.count("RUNNING"),
                    application.get("deployed_app_config"),
                )
            if application["status"] == "DEPLOY_FAILED":
                return State("DEPLOY_FAILED", _last_line(application.get("message", "")), 0, 0, None)
        return None

    def put(self, config: Config) -> None:
        """Deploys a configuration.  Raises InvalidSettings if Ray refuses it; nothing has changed then."""
        self._ask("PUT", config)

    def ready(self) -> dict[str, Any] | None:
        """The body of /readyz, None unless a replica is ready."""
        try:
            with OPENER.open(f"{self._instance.url}/readyz", timeout=ASK_WITHIN_S) as response:
                body: dict[str, Any] = json.load(response)
        except (OSError, ValueError):
            return None
        return body

    def _ask(self, method: str, content: Config | None = None) -> dict[str, Any]:
        try:
            token = self._instance.token_file.read_text()
        except OSError:
            raise NotReady(
                f"no service of yours runs on port {self._instance.port}; start it: make serve"
            ) from None
        request = Request(
            self._instance.dashboard + APPLICATIONS,
            method=method,
            data=json.dumps(content).encode() if content else None,
            headers={"Authorization": f"Bearer {token}", "Content-Type": "application/json"},
        )
        try:
            with OPENER.open(request, timeout=PUT_WITHIN_S if content else ASK_WITHIN_S) as response:
                text = response.read().decode()
        except HTTPError as error:
            raise InvalidSettings(f"Ray Serve refused it: {_last_line(error.read().decode())}") from None
        except (URLError, TimeoutError, ConnectionError) as error:
            raise NotReady(f"{self._instance.dashboard} does not answer: {error}") from None
        body: dict[str, Any] = json.loads(text) if text else {}
        return body


def as_lines(config: Config) -> list[str]:
    """A configuration as sorted YAML, to compare it with another."""
    return yaml.safe_dump(config).splitlines()


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else ""
