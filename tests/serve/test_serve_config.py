"""serveConfigV2 of every overlay is valid, has no key that Ray ignores, and differs from ours as declared."""

from typing import Any

import pytest
import yaml
from pydantic import BaseModel
from ray.serve.schema import ServeDeploySchema

from digits.inference.settings import ServeSettings
from kuberay.manifests import declared_changes, more_applications, serve_config
from tests.rules.kuberay import serve_configs
from tests.rules.manifests import ROOT, Object, names, render

DECLARED = [yaml.safe_load(serve_config(changes)) for changes in declared_changes().values()]


def _serve_configs() -> list[tuple[str, Object]]:
    return [(name, config) for name in names() for _, config in serve_configs(render(name))]


def _deployment(config: Object) -> Object:
    (found,) = config["applications"][0]["deployments"]
    return dict(found)


@pytest.mark.parametrize(("name", "config"), _serve_configs(), ids=[name for name, _ in _serve_configs()])
def test_the_serve_config_of_an_overlay_is_valid(name: str, config: Object) -> None:
    """For Ray and for the deployment, and apart from the model it is one of the declared copies."""
    schema = ServeDeploySchema.model_validate(config)
    assert _unknown(schema, config) == []
    ServeSettings(**_deployment(config)["user_config"])
    assert config["http_options"]["host"] == "0.0.0.0"
    _deployment(config)["user_config"]["model_uri"] = _deployment(DECLARED[0])["user_config"]["model_uri"]
    assert config in DECLARED


@pytest.mark.parametrize("manifest", declared_changes())
def test_a_copy_differs_from_the_source_as_declared(manifest: str) -> None:
    changes = declared_changes()[manifest]
    ours = yaml.safe_load((ROOT / "serve_config.yaml").read_text())
    theirs = yaml.safe_load(serve_config(changes))
    assert theirs["applications"][1:] == yaml.safe_load(more_applications())
    del theirs["applications"][1:]
    differences = _differences(ours, theirs)
    declared = {change.key: change.value for change in changes}
    back = {"autoscaling_config.min_replicas": 1}  # as in the source, where the other manifests have 2
    assert differences == dict(declared.items() - back.items())


def _unknown(model: BaseModel, values: Object, where: str = "") -> list[str]:
    """Returns the keys that Ray takes and ignores, as it does at the top and in an application."""
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


def _differences(ours: Any, theirs: Any, path: tuple[str, ...] = ()) -> dict[str, Any]:
    """Returns the values of `theirs` that differ, by the last two steps of their path."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        pairs = [(ours.get(key), theirs.get(key), (*path, key)) for key in ours.keys() | theirs.keys()]
    elif isinstance(ours, list) and isinstance(theirs, list) and len(ours) == len(theirs):
        pairs = [(a, b, path) for a, b in zip(ours, theirs, strict=True)]
    else:
        return {} if ours == theirs else {".".join(path[-2:]): theirs}
    found: dict[str, Any] = {}
    for pair in pairs:
        found |= _differences(*pair)
    return found


def test_an_unknown_key_of_the_serve_config_is_found() -> None:
    config = yaml.safe_load((ROOT / "serve_config.yaml").read_text())
    config["applications"][0]["replicas"] = 2
    assert _unknown(ServeDeploySchema.model_validate(config), config) == ["applications.replicas"]
