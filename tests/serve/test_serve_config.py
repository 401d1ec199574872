"""serveConfigV2 of every overlay is valid, has no key that Ray ignores, and differs from ours as declared."""

import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest
import yaml

from digits.errors import InvalidSettings
from digits.inference.settings import ServeSettings
from digits.local.schema import check_by_rays_schema
from kuberay import manifests
from kuberay.checks import CHECK, IS_INVALID
from kuberay.manifests import declared_changes, more_applications, serve_config
from kuberay.overlay import manifest
from tests.rules.kuberay import serve_configs
from tests.rules.manifests import ROOT, Object, names, render

OURS = "applications.0.deployments.0"
AUTOSCALING = f"{OURS}.autoscaling_config"
DECLARED = [yaml.safe_load(serve_config(changes)) for changes in declared_changes().values()]


def _serve_configs() -> list[tuple[str, Object]]:
    return [(name, config) for name in names() for _, config in serve_configs(render(name))]


def _deployment(config: Object) -> Object:
    (found,) = config["applications"][0]["deployments"]
    return dict(found)


@pytest.mark.parametrize(("name", "config"), _serve_configs(), ids=[name for name, _ in _serve_configs()])
def test_the_serve_config_of_an_overlay_is_valid(name: str, config: Object) -> None:
    """For Ray and for the deployment, and apart from the model it is one of the declared copies."""
    check_by_rays_schema(config)
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
        ("applications.0.replicas", "unknown key"),
        (f"{OURS}.num_replica", "unknown key; the nearest known one is 'num_replicas'"),
        ("http_option", "unknown key; the nearest known one is 'http_options'"),
        (f"{OURS}.max_surge_percent", "Input should be less than or equal to 100, not 200"),
        (f"{AUTOSCALING}.upscale_delays_s", "unknown key; the nearest known one is 'upscale_delay_s'"),
        (f"{AUTOSCALING}.policy.policy_functon", "unknown key; the nearest known one is 'policy_function'"),
        (
            f"{AUTOSCALING}.policy",
            "Input should be a valid dictionary or instance of AutoscalingPolicy, not 200",
        ),
        (
            f"{AUTOSCALING}.policy.policy_function",
            "Input should be a valid string or callable, not 200",
        ),
        (f"{OURS}.ray_actor_options.runtime_env.env_var", "unknown key; the nearest known one is 'env_vars'"),
        ("applications.0.runtime_env.env_var", "unknown key; the nearest known one is 'env_vars'"),
    ],
)
def test_what_ray_would_ignore_or_refuse_is_said(key: str, said: str) -> None:
    """In one line, and with the name that was probably meant."""
    assert refusal_of(key, 200) == f"{key}: {said}"


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        (f"{AUTOSCALING}.max_replicas", 0, ".max_replicas: Input should be greater than 0, not 0"),
        (
            f"{AUTOSCALING}.min_replicas",
            3,
            ": max_replicas (2) must be greater than or equal to min_replicas (3)!",
        ),
        (f"{AUTOSCALING}.target_ongoing_requests", "many", "unable to parse string as a number, not 'many'"),
        (
            f"{AUTOSCALING}.policy.policy_function",
            "digits.serving.autoscaling:gone",
            "has no attribute 'gone'",
        ),
        (f"{AUTOSCALING}.policy.policy_function", "gone:policy", "No module named 'gone'"),
        (f"{OURS}.request_router_config.request_router_class", "gone:Router", "No module named 'gone'"),
        (f"{OURS}.ray_actor_options.runtime_env.env_vars", {"A": 1}, "must be of type Dict[str, str]"),
        (f"{OURS}.max_replicas_per_node", "x", "unable to parse string as an integer, not 'x'"),
    ],
)
def test_what_ray_checks_while_it_deploys_is_said_before(key: str, value: object, said: str) -> None:
    """Ray's schema takes these sections as they are; its deployment fails then, with little of the reason."""
    assert said in refusal_of(key, value)


MISTAKES = {
    "deployments:": ("deployment:", "there is no deployment DigitClassifier"),
    "    max_queued_images:": ("     max_queued_images:", "is not YAML"),
    "max_batch_size: 64": ("max_batch_size: 64ms", "max_batch_size: Input should be a valid integer"),
    "queue_timeout_s: 10 ": ("queue_timeout_s: 10000 ", "queue_timeout_s: Input should be less than"),
    "num_cpus: 1 ": ("num_cpus: 500m ", "num_cpus: Input should be a valid number"),
    "max_surge_percent: 100": ("max_surge: 100", "max_surge: unknown key; the nearest known one is"),
    "route_prefix: /": ("route_prefixes: /", "applications.0.route_prefixes: unknown key"),
}


@pytest.mark.parametrize("line", [*MISTAKES, ""])
def test_the_head_finds_a_mistake_before_it_is_applied(line: str) -> None:
    """`make deploy` runs this on the head that answers; a model's folder need not be there."""
    wrong, said = MISTAKES.get(line, ("", ""))
    text = manifest("local").replace("models/starter", "/models/mine").replace(line, wrong, 1 if line else 0)
    command = [sys.executable, "-c", CHECK, text]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == (IS_INVALID if line else 0), done.stderr
    assert said in done.stdout


@pytest.mark.parametrize(
    ("name", "old", "new", "said"),
    [
        ("serve_config.yaml", "batch_size: 64", "batch_size: 64ms", "max_batch_size: Input should be"),
        ("serve_config.yaml", "route_prefix:", "route_prefixes:", "applications.0.route_prefixes: unknown"),
        (
            "kuberay/serve_config_changes.yaml",
            "autoscaling_config.max_replicas",
            "autoscaling_config.max_replica",
            f"kuberay/overlays/autoscaling/rayservice.yaml: {AUTOSCALING}.max_replica: unknown key; the "
            "nearest known one is 'max_replicas'",
        ),
        ("kuberay/serve_config_changes.yaml", "all:", "all: :", "mapping values are not allowed here"),
    ],
)
def test_make_manifests_writes_no_mistake(
    name: str, old: str, new: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mistaken = tmp_path / Path(name).name
    mistaken.write_text((ROOT / name).read_text().replace(old, new))
    monkeypatch.setattr(manifests, "SOURCE" if name == "serve_config.yaml" else "CHANGES", mistaken)
    monkeypatch.setattr(Path, "write_text", _only_below(Path(tempfile.gettempdir())))
    with pytest.raises(SystemExit) as end:
        manifests.main()
    assert said in str(end.value)
    assert str(end.value).endswith("Nothing has been written.")


def _only_below(folder: Path) -> Any:
    write = Path.write_text

    def guarded(file: Path, text: str) -> int:
        assert file.is_relative_to(folder)
        return write(file, text)

    return guarded


def refusal_of(key: str, value: object) -> str:
    """Returns why serve_config.yaml is refused with this value."""
    config: Any = yaml.safe_load((ROOT / "serve_config.yaml").read_text())
    check_by_rays_schema(config)
    *path, last = [int(step) if step.isdigit() else step for step in key.split(".")]
    place = config
    for step in path:
        place = place.setdefault(step, {}) if isinstance(place, dict) else place[step]
    place[last] = value
    with pytest.raises(InvalidSettings) as error:
        check_by_rays_schema(config)
    return str(error.value)
