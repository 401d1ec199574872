"""serveConfigV2 of every overlay: valid, no key that Ray would ignore, and that of serve_config.yaml."""

from typing import Any

import pytest
import yaml
from pydantic import BaseModel
from ray.serve.schema import ServeDeploySchema

from digits.inference.settings import ServeSettings
from tests.rules.kuberay import serve_configs
from tests.rules.manifests import ROOT, Object, names, render

# What a manifest's serveConfigV2 may have otherwise than serve_config.yaml, by the path in it.
MAY_DIFFER = {
    "http_options.host": "a container's loopback is reached by nobody",
    "autoscaling_config.min_replicas": "one for each worker",
    "autoscaling_config.max_replicas": "as many as the workers hold",
    "ray_actor_options.num_gpus": "of the overlay gpu",
}


def _serve_configs() -> list[tuple[str, Object]]:
    return [(name, config) for name in names() for _, config in serve_configs(render(name))]


@pytest.mark.parametrize(("name", "config"), _serve_configs(), ids=[name for name, _ in _serve_configs()])
def test_the_serve_config_is_valid_and_that_of_the_project(name: str, config: Object) -> None:
    schema = ServeDeploySchema.model_validate(config)
    assert _unknown(schema, config) == []
    (deployment,) = config["applications"][0]["deployments"]
    ServeSettings(**deployment["user_config"])
    ours = yaml.safe_load((ROOT / "serve_config.yaml").read_text())
    assert set(_differences(ours, config)) <= MAY_DIFFER.keys()
    assert config["http_options"]["host"] == "0.0.0.0"


def _unknown(model: BaseModel, values: Object, where: str = "") -> list[str]:
    """Keys that Ray takes and ignores, above all those of the top and of an application."""
    found = []
    for key, value in values.items():
        if key not in type(model).model_fields:
            found.append(f"{where}{key}")
            continue
        inner = getattr(model, key)
        pairs = zip(inner, value, strict=True) if isinstance(inner, list) else [(inner, value)]
        for one, its in pairs:
            if isinstance(one, BaseModel) and isinstance(its, dict):
                found += _unknown(one, its, f"{where}{key}.")
    return found


def _differences(ours: Any, theirs: Any, path: tuple[str, ...] = ()) -> list[str]:
    """The last two steps of each path at which they differ."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        keys = ours.keys() | theirs.keys()
        return [one for key in keys for one in _differences(ours.get(key), theirs.get(key), (*path, key))]
    if isinstance(ours, list) and isinstance(theirs, list) and len(ours) == len(theirs):
        return [one for a, b in zip(ours, theirs, strict=True) for one in _differences(a, b, path)]
    return [] if ours == theirs else [".".join(path[-2:])]


def test_an_unknown_key_of_the_serve_config_is_seen() -> None:
    config = yaml.safe_load((ROOT / "serve_config.yaml").read_text())
    config["applications"][0]["replicas"] = 2
    assert _unknown(ServeDeploySchema.model_validate(config), config) == ["applications.replicas"]
