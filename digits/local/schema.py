"""Ray's schema of a Serve configuration: finds wrong values, and keys that Ray would silently ignore.

This module loads Ray, which takes seconds.
"""

import warnings
from collections.abc import Collection, Iterator
from difflib import get_close_matches
from typing import Any

from pydantic import BaseModel, ValidationError

from digits.errors import InvalidSettings

Place = tuple[str | int, ...]


def check_by_rays_schema(config: dict[str, Any]) -> list[dict[str, Any]]:
    """Returns the applications as Ray stores them, with its types and the global logging_config.

    Raises InvalidSettings with every wrong value, or every unknown key, in one line.
    """
    from ray.serve.schema import ServeDeploySchema

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Ray's, about its own defaults
        found = [line for place, part in _parts(config) for line in _faults_of_part(place, part)]
        try:
            schema = ServeDeploySchema.model_validate(config)
        except ValidationError as error:
            found += faults(error, config)
        except Exception:  # that of a class or function which cannot be imported, and is in `found`
            if not found:
                raise
    if not found:
        found = unknown_keys(schema, config)
    if found:
        raise InvalidSettings("; ".join(found))
    for application in schema.applications:
        if application.logging_config is None:
            application.logging_config = schema.logging_config
    return [one.model_dump(mode="json", exclude_unset=True) for one in schema.applications]


def _parts(config: dict[str, Any]) -> Iterator[tuple[Place, dict[Any, Any]]]:
    """Yields the sections that Ray's schema takes as they are, and checks during the deployment only."""
    for at, application in _dicts(config, "applications"):
        for name in ("autoscaling_policy", "runtime_env"):
            yield from _section(at, application, name)
        for inner, deployment in _dicts(application, "deployments"):
            place = (*at, *inner)
            for name in ("autoscaling_config", "request_router_config"):
                yield from _section(place, deployment, name)
            for options, values in _section(place, deployment, "ray_actor_options"):
                yield from _section(options, values, "runtime_env")


def _dicts(values: dict[Any, Any], name: str) -> Iterator[tuple[Place, dict[Any, Any]]]:
    """Yields the place and the values of each mapping in a list."""
    found = values.get(name)
    for index, one in enumerate(found if isinstance(found, list) else ()):
        if isinstance(one, dict):
            yield (name, index), one


def _section(place: Place, values: dict[Any, Any], name: str) -> Iterator[tuple[Place, dict[Any, Any]]]:
    if isinstance(section := values.get(name), dict):
        yield (*place, name), section


def _faults_of_part(place: Place, values: dict[Any, Any]) -> list[str]:
    from ray.serve import config as ray_config

    if place[-1] == "runtime_env":
        return _faults_of_runtime_env(place, values)
    models: dict[str, type[BaseModel]] = {
        "autoscaling_policy": ray_config.AutoscalingPolicy,
        "autoscaling_config": ray_config.AutoscalingConfig,
        "request_router_config": ray_config.RequestRouterConfig,
    }
    try:
        part = models[str(place[-1])].model_validate(values)
    except ValidationError as error:
        return faults(error, values, place)
    except Exception as error:  # importing what a text names may raise anything
        return [f"{_name(place)}: {type(error).__name__}: {error}; name what exists, as MODULE:FUNCTION"]
    return unknown_keys(part, values, f"{_name(place)}.")


def _faults_of_runtime_env(place: Place, values: dict[Any, Any]) -> list[str]:
    from ray.runtime_env import RuntimeEnv

    known = {key for key in RuntimeEnv.known_fields if not key.startswith("_")}
    found = [unknown(f"{_name(place)}.", key, known) for key in values if key not in known]
    try:
        RuntimeEnv(env_vars=values.get("env_vars"))
    except (TypeError, ValueError) as error:
        found.append(f"{_name(place)}: {error}")
    return found


def _name(place: Place) -> str:
    return ".".join(map(str, place))


def faults(error: ValidationError, values: Any, where: Place = ()) -> list[str]:
    """Returns a sentence for each wrong value: its place, what is allowed, and the value."""
    allowed: dict[str, list[str]] = {}
    given: dict[str, str] = {}
    for one in error.errors():
        place = _name((*where, *_existing(one["loc"], values, is_missing=one["type"] == "missing"))) or "it"
        text = one["msg"].removeprefix("Value error, ").rstrip(".")
        said = allowed.setdefault(place, [])
        said.append(text.removeprefix("Input should be ") if said else text)
        if isinstance(one["input"], str | int | float | None) and one["type"] != "missing":
            given[place] = f", not {one['input']!r}"
    return [f"{place}: {' or '.join(said)}{given.get(place, '')}" for place, said in allowed.items()]


def _existing(loc: Place, values: Any, is_missing: bool) -> Place:
    """Returns the part of pydantic's place that the configuration has: pydantic also names types there."""
    for depth, key in enumerate(loc):
        try:
            values = values[key]
        except (TypeError, LookupError):
            return loc[: depth + is_missing]
    return loc


def unknown(where: str, key: object, known: Collection[str]) -> str:
    """Returns a sentence about a key that does not exist, with the known one that was probably meant."""
    nearest = get_close_matches(str(key), known, 1)
    return f"{where}{key}: unknown key" + (f"; the nearest known one is '{nearest[0]}'" if nearest else "")


def unknown_keys(model: BaseModel, values: dict[Any, Any], where: str = "") -> list[str]:
    """Returns a sentence for each key of `values`, at any depth, that the model does not have."""
    found = []
    known = type(model).model_fields
    for key, value in values.items():
        if key not in known:
            found.append(unknown(where, key, known))
            continue
        inner = getattr(model, key)
        if isinstance(inner, BaseModel) and isinstance(value, dict):
            found += unknown_keys(inner, value, f"{where}{key}.")
        elif isinstance(inner, list):
            for index, (one, its) in enumerate(zip(inner, value, strict=True)):
                if isinstance(one, BaseModel) and isinstance(its, dict):
                    found += unknown_keys(one, its, f"{where}{key}.{index}.")
    return found
