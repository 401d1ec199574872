"""A client of the running service: Ray's dashboard and /readyz. Ray's own client would load Ray."""

import json
from dataclasses import dataclass
from http.client import HTTPException
from typing import Any
from urllib.error import HTTPError
from urllib.request import ProxyHandler, Request, build_opener

import yaml

from digits.errors import InvalidSettings, NotReady, last_line
from digits.local.config import DEPLOYMENT, Config
from digits.local.instance import Instance

APPLICATIONS = "/api/serve/applications/"
ASK_WITHIN_S = 5
PUT_WITHIN_S = 60
OPENER = build_opener(ProxyHandler({}))  # ignores http_proxy, because the service is on loopback


@dataclass(frozen=True)
class State:
    """The state of this project's application, as Ray Serve reports it."""

    status: str  # of the application: DEPLOYING, RUNNING, DEPLOY_FAILED, UNHEALTHY, ...
    reason: str  # the last line of Ray's message; "" if nothing is wrong
    replicas: int | None  # running ones; None while Ray builds the application, and if it could not
    changing: int  # replicas that start, stop or are being changed
    config: Config | None  # what was deployed last, also if that failed


class Service:
    """A client of the service of an instance."""

    def __init__(self, instance: Instance) -> None:
        self._instance = instance

    def state(self) -> State | None:
        """Returns the state, or None without the application. Raises NotReady if nothing answers."""
        unbuilt = None
        for application in self._ask().get("applications", {}).values():
            status, config = application["status"], application.get("deployed_app_config")
            reason = last_line(application.get("message", ""))
            if deployment := application.get("deployments", {}).get(DEPLOYMENT):
                states = [replica["state"] for replica in deployment.get("replicas", [])]
                running = states.count("RUNNING")
                reason = reason or last_line(deployment.get("message", ""))
                return State(status, reason, running, len(states) - running, config)
            if status == "DEPLOY_FAILED" or (status == "DEPLOYING" and not unbuilt):
                unbuilt = State(status, reason, None, 0, config)
        return unbuilt

    def put(self, config: Config) -> None:
        """Deploys a configuration. Raises InvalidSettings if Ray rejects it; then nothing has changed."""
        self._ask(config)

    def ready(self) -> dict[str, Any] | None:
        """Returns the body of /readyz, or None if no replica is ready."""
        try:
            with OPENER.open(f"{self._instance.url}/readyz", timeout=ASK_WITHIN_S) as response:
                body: dict[str, Any] = json.load(response)
        except (OSError, HTTPException, ValueError):
            return None
        return body

    def _ask(self, config: Config | None = None) -> dict[str, Any]:
        """Returns the state of all applications, or deploys the configuration and returns {}."""
        token = self._token()
        request = Request(
            self._instance.dashboard + APPLICATIONS,
            method="PUT" if config else "GET",
            data=json.dumps(config).encode() if config else None,
            headers={"Authorization": f"Bearer {token}", "Content-Type": "application/json"},
        )
        try:
            with OPENER.open(request, timeout=PUT_WITHIN_S if config else ASK_WITHIN_S) as response:
                text = response.read().decode()
        except HTTPError as error:
            reason = last_line(error.read().decode())
            if config:
                raise InvalidSettings(f"Ray Serve rejected the configuration: {reason}") from None
            failure = f"{self._instance.dashboard} answers with status {error.code}: {reason}"
            raise NotReady(f"{failure}; see {self._instance.log}") from None
        except (OSError, HTTPException) as error:
            raise NotReady(f"{self._instance.dashboard} does not answer: {error}") from None
        body: dict[str, Any] = json.loads(text) if text else {}
        return body

    def _token(self) -> str:
        """Returns the token, which an HTTP header can hold. Raises NotReady if no service has written one."""
        file, port = self._instance.token_file, self._instance.port
        try:
            token = file.read_text("ascii").strip()
        except OSError:
            raise NotReady(f"no service of yours runs on port {port}; start it: make serve") from None
        except UnicodeDecodeError:
            token = ""
        if not token.isalnum():
            raise NotReady(f"{file} holds no token of this service; make stop, then make serve")
        return token


def as_lines(config: Config) -> list[str]:
    """Returns a configuration as lines of sorted YAML, for a comparison."""
    return yaml.safe_dump(config).splitlines()
