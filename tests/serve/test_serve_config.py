"""serveConfigV2 of every overlay is valid, has no key that Ray ignores, and differs from ours as declared."""

from typing import Any

import pytest
import yaml
from ray.serve.schema import ServeDeploySchema

from digits.errors import InvalidSettings
from digits.inference.settings import ServeSettings
from digits.local.schema import check_by_rays_schema, unknown_keys
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
    assert unknown_keys(schema, config) == []
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


@pytest.mark.parametrize(
    ("key", "said"),
    [
        ("applications.0.replicas", "applications.replicas: unknown key"),
        (
            "applications.0.deployments.0.num_replica",
            "applications.deployments.num_replica: unknown key; the nearest known one is 'num_replicas'",
        ),
        ("http_option", "http_option: unknown key; the nearest known one is 'http_options'"),
        (
            "applications.0.deployments.0.max_surge_percent",
            "applications.0.deployments.0.max_surge_percent: Input should be less than or equal to 100",
        ),
    ],
)
def test_what_ray_would_ignore_or_refuse_is_said(key: str, said: str) -> None:
    """In one line, and with the name that was probably meant."""
    config: Any = yaml.safe_load((ROOT / "serve_config.yaml").read_text())
    check_by_rays_schema(config)
    *path, last = [int(step) if step.isdigit() else step for step in key.split(".")]
    place = config
    for step in path:
        place = place[step]
    place[last] = 200
    with pytest.raises(InvalidSettings) as error:
        check_by_rays_schema(config)
    assert str(error.value) == said
