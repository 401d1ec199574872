"""A Serve configuration, checked before anything starts or changes."""

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, Field, ValidationError

from digits.errors import DigitsError, InvalidSettings
from digits.gateway.environment import environment
from digits.gateway.settings import EDGE_PREFIX, FORMS, EdgeSettings
from digits.inference.settings import ServeSettings
from digits.inference.source import FolderSource
from digits.local.instance import DEFAULT_PORT
from digits.registry.versions import parse

Config = dict[str, Any]
ADDRESS = re.compile(r"[a-z][a-z0-9+.-]*:/|models:", re.IGNORECASE)  # of a model; others are folders
DEPLOYMENT = "DigitClassifier"
HAPROXY_LIMIT = "RAY_SERVE_HAPROXY_TIMEOUT_SERVER_S"  # seconds that a replica may take to answer
LONGEST_S = 900  # of Ray's times in seconds; a longer one is probably in milliseconds
MAY_BE_LONGER = "downscale_delay_s"
# What Ray reads only when it starts; it ignores a change in a later deployment.
AT_START = ("proxy_location", "http_options", "grpc_options", "controller_options", "tracing_config")


class _Loader(yaml.SafeLoader):
    """Refuses a duplicate key, of which YAML's own loader silently takes the last."""

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        """Raises InvalidSettings for a duplicate key, with its lines."""
        node = super().compose_mapping_node(anchor)
        lines: dict[object, int] = {}
        for key, _ in node.value:
            line = key.start_mark.line + 1
            if isinstance(key.value, str) and key.value in lines:
                raise InvalidSettings(
                    f"line {line}: duplicate key {key.value!r}, first in line {lines[key.value]}"
                )
            lines[key.value if isinstance(key.value, str) else key] = line
        return node


class _Deployment(BaseModel):
    name: str


class _Application(BaseModel):
    deployments: list[_Deployment] = []


class _Http(BaseModel):
    # Where 127.0.0.1 reaches the service, which the commands ask there.  None is Ray's default.
    host: Literal["127.0.0.1", "localhost", "0.0.0.0"] | None = None
    port: int = Field(DEFAULT_PORT, ge=1, le=65535)
    request_timeout_s: float | None = None


class _Form(BaseModel):
    """The part of a configuration that is read here; schema.py checks all of it."""

    applications: list[_Application] = Field(min_length=1)
    http_options: _Http | None = None


def read_config(file: Path, port: int | None = None, *, model_is_here: bool = True) -> Config:
    """Returns the configuration, with the port replaced by `port` if one is given.

    Without `model_is_here` a model's folder may be missing: it is on the machines that will serve it.
    Raises InvalidSettings for a missing file, invalid YAML, a duplicate key or deployment, a wrong structure,
    a time that is probably in milliseconds, or an invalid user_config, also one whose deadline is behind the
    limits in front of it.
    """
    try:
        config: Config = yaml.load(file.read_text("utf-8"), _Loader)
    except OSError as error:
        raise InvalidSettings(f"{file} cannot be read: {error.strerror}") from None
    except InvalidSettings as error:
        raise InvalidSettings(f"{file}, {error}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InvalidSettings(f"{file} is not YAML: {' '.join(str(error).split())}") from None
    if config is None:
        raise InvalidSettings(f"{file} is empty; serve_config.yaml shows the form")
    try:
        form = _Form.model_validate(config)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "it"
        text = re.sub(r" or instance of \w+", "", first["msg"])  # a class of this module
        raise InvalidSettings(f"{file}, {where}: {text}; serve_config.yaml shows the form") from None
    for index, application in enumerate(form.applications):
        names = [one.name for one in application.deployments]
        if twice := {name for name in names if names.count(name) > 1}:
            raise InvalidSettings(
                f"{file}, applications.{index}.deployments: more than one is named {', '.join(sorted(twice))}"
            )
    try:
        settings = ServeSettings.parse(deployment_of(config).get("user_config"))
        if ADDRESS.match(settings.model_uri):
            parse(settings.model_uri)
        elif model_is_here:
            FolderSource(settings.model_uri).resolve()
    except DigitsError as error:
        raise InvalidSettings(f"{file}, user_config: {error}") from None
    if found := list(_too_long(config)):
        raise InvalidSettings(f"{file}, {'; '.join(found)}")
    http = form.http_options or _Http()
    _check_deadlines(file, settings.queue_timeout_s, http.request_timeout_s)
    config["http_options"] = (config.get("http_options") or {}) | {"port": port or http.port}
    return config


def configured_port(file: Path) -> int:
    """Returns the port of a configuration that need not be valid; DEFAULT_PORT if it names none."""
    try:
        http = _Http.model_validate((yaml.safe_load(file.read_text("utf-8")) or {}).get("http_options") or {})
    except (OSError, ValueError, AttributeError, yaml.YAMLError):  # pydantic's error is a ValueError
        return DEFAULT_PORT
    return http.port


def _too_long(values: object, where: str = "") -> Iterator[str]:
    """Yields a sentence for each time of Ray above LONGEST_S; `user_config` has bounds of its own."""
    if isinstance(values, list):
        values = dict(enumerate(values))
    for key, value in values.items() if isinstance(values, dict) else ():
        is_time = str(key).endswith("_s") and isinstance(value, int | float)
        if is_time and value > LONGEST_S and key != MAY_BE_LONGER:
            yield f"{where}{key}: {value:g} is more than {LONGEST_S} s; the unit is seconds"
        elif key != "user_config":
            yield from _too_long(value, f"{where}{key}.")


def _check_deadlines(file: Path, queue_s: float, rays_s: float | None) -> None:
    """Raises InvalidSettings if a limit in front of the queue ends requests before the queue does.

    Behind HAProxy its limit applies, since the gateway disables Ray's; without HAProxy Ray's does.
    """
    haproxys = os.environ.get(HAPROXY_LIMIT) or environment(haproxy=True)[HAPROXY_LIMIT]
    try:
        limits = {"http_options.request_timeout_s": rays_s or 0.0, HAPROXY_LIMIT: float(haproxys)}
    except ValueError:
        raise InvalidSettings(f"{HAPROXY_LIMIT} is {haproxys!r} and must be a number of seconds") from None
    for name, limit_s in limits.items():
        if 0 < limit_s <= queue_s:
            raise InvalidSettings(
                f"{file}, user_config: queue_timeout_s is {queue_s:g} and must be below {name} "
                f"({limit_s:g}), which ends requests before the queue answers 504"
            )


def changed_at_start(running: Config, wanted: Config) -> list[str]:
    """Returns the names of the AT_START options that differ, such as http_options.host."""
    changed = []
    for section in AT_START:
        old, new = running.get(section), wanted.get(section)
        if isinstance(old or {}, dict) and isinstance(new or {}, dict):
            old, new = old or {}, new or {}
            differing = sorted(key for key in old.keys() | new.keys() if old.get(key) != new.get(key))
            changed += [f"{section}.{key}" for key in differing]
        elif old != new:
            changed.append(section)
    return changed


def check_gateway() -> None:
    """Raises InvalidSettings for an invalid variable of the gateway, without its value: it may be a key."""
    try:
        EdgeSettings.from_environment()
    except ValidationError as error:
        first = error.errors(include_input=False)[0]
        text = first["msg"].removeprefix("Value error, ")
        if not first["loc"]:  # the text names the settings, quoted if unknown
            names = rf"'(\w+)'|\b({'|'.join(EdgeSettings.model_fields)})\b"
            raise InvalidSettings(
                re.sub(names, lambda found: _variable(found[1] or found[2]), text)
            ) from None
        name = str(first["loc"][0])
        if first["type"] == "string_pattern_mismatch":
            text = FORMS[name]
        raise InvalidSettings(f"{_variable(name)}: {text}") from None


def _variable(setting: str) -> str:
    return f"{EDGE_PREFIX}{setting.upper()}"


def deployment_of(config: Config) -> Config:
    """Returns this project's deployment.  Raises InvalidSettings if there is none."""
    deployments = [
        one for application in config["applications"] for one in application.get("deployments", [])
    ]
    for deployment in deployments:
        if deployment["name"] == DEPLOYMENT:
            return dict(deployment)
    raise InvalidSettings(f"there is no deployment {DEPLOYMENT}; serve_config.yaml shows the form")
