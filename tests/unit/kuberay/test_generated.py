"""The manifests' copies of serve_config.yaml are fresh, and the champion component works on each."""

import os
import re
from pathlib import Path

import kubernetes_validate
import pytest
import yaml

from kuberay.manifests import Change, declared_changes, serve_config, with_config
from tests.rules import kuberay as kuberay_rules
from tests.rules import kubernetes as kubernetes_rules
from tests.rules.kuberay import serve_configs
from tests.rules.manifests import KUBERAY, PLAIN, Object, names, render

CHAMPION = "models:/digits@champion"
OVERLAYS = [  # a user's own may have the component
    name
    for name in names()
    if name != PLAIN
    for service in render(name).of("RayService")
    if f'"{CHAMPION}"' not in service["spec"]["serveConfigV2"]
]


@pytest.mark.parametrize("manifest", declared_changes())
def test_the_copy_of_a_manifest_is_fresh(manifest: str) -> None:
    text = (KUBERAY / manifest).read_text()
    fresh = with_config(text, serve_config(declared_changes()[manifest]))
    assert text == fresh, "run `make manifests`"


def test_no_manifest_has_a_copy_that_is_not_generated() -> None:
    files = [file for file in KUBERAY.rglob("*.yaml") if "import_path: app:app" in file.read_text()]
    assert {str(file.relative_to(KUBERAY)) for file in files} == declared_changes().keys()


@pytest.mark.parametrize("name", OVERLAYS)
def test_the_champion_component_works_on_every_overlay(name: str, tmp_path: Path) -> None:
    """An overlay on top with the component has the champion's URI, and everything else as before."""
    overlay = {
        "resources": [os.path.relpath((KUBERAY / name).resolve(), tmp_path.resolve())],
        "components": [os.path.relpath((KUBERAY / "components/champion").resolve(), tmp_path.resolve())],
    }
    (tmp_path / "kustomization.yaml").write_text(yaml.safe_dump(overlay))
    before, after = render(name), render(str(tmp_path))
    ((service, config),) = serve_configs(after)
    assert user_config(config)["model_uri"] == CHAMPION
    ((_, config_before),) = serve_configs(before)
    user_config(config)["model_uri"] = user_config(config_before)["model_uri"]
    assert config == config_before
    service["spec"]["serveConfigV2"] = before.of("RayService")[0]["spec"]["serveConfigV2"]
    assert after.objects == before.objects


def test_the_shipped_champion_overlay_is_local_with_it() -> None:
    ((_, config),) = serve_configs(render("overlays/local-champion"))
    assert user_config(config)["model_uri"] == CHAMPION
    ((_, config),) = serve_configs(render("overlays/local"))
    assert user_config(config)["model_uri"] == "models/starter"


@pytest.mark.parametrize("base", ["production", "autoscaling", "gpu", "incremental-upgrade"])
def test_the_overlay_of_the_readme_has_nothing_of_the_example(base: str, tmp_path: Path) -> None:
    """Every image comes from the user's registry, with its login and its tag; the host name is the user's."""
    found = re.search(r"```yaml\n(# kuberay/overlays/mine/.*?)```", (KUBERAY / "README.md").read_text(), re.S)
    assert found
    overlay = yaml.safe_load(found[1])
    assert overlay["resources"] == ["../production"]
    overlay["resources"] = [f"../{base}"]
    for key in ("resources", "components"):
        folders = [(KUBERAY / "overlays/mine" / one).resolve() for one in overlay[key]]
        overlay[key] = [os.path.relpath(one, tmp_path.resolve()) for one in folders]
    (tmp_path / "kustomization.yaml").write_text(yaml.safe_dump(overlay))
    mine = render(str(tmp_path))
    assert "example.com" not in str(mine.objects)
    for pod in mine.pods():
        assert pod.spec["imagePullSecrets"] == [{"name": "registry-login"}], pod.where
        assert all(one["image"].startswith("registry.mine.example/") for one in pod.containers), pod.where
    for pod in render(f"overlays/{base}").clusters()[0].pods:
        tag = pod.containers[0]["image"].partition(":")[2]
        assert f"registry.mine.example/digits-serve:{tag}" in str(mine.of("RayService"))
    rules = [*kuberay_rules.RULES, *kubernetes_rules.RULES]
    assert [said for rule in rules for said in rule(mine)] == []


def test_the_policy_of_the_readme_is_valid() -> None:
    readme = (KUBERAY / "README.md").read_text().replace("\n  ", "\n")  # it is part of a list
    found = re.search(r"```yaml\n(# kuberay/overlays/mine/outside.yaml\n.*?)```", readme, re.S)
    assert found
    policy = yaml.safe_load(found[1])
    kubernetes_validate.validate(policy, "1.36", strict=True)
    (job,) = render("training").of("RayJob")
    labels = job["spec"]["rayClusterSpec"]["headGroupSpec"]["template"]["metadata"]["labels"]
    assert policy["spec"]["podSelector"]["matchLabels"].items() <= labels.items()


def user_config(config: Object) -> Object:
    (deployment,) = config["applications"][0]["deployments"]
    found: Object = deployment["user_config"]
    return found


def test_a_change_replaces_the_line_and_its_comment() -> None:
    text = serve_config([Change("http_options.port", 9000, "why")])
    (line,) = (line for line in text.splitlines() if "port:" in line)
    assert line.split("#")[0].strip() == "port: 9000"
    assert line.endswith("# why")


def test_a_new_key_goes_to_the_end_of_its_section() -> None:
    lines = serve_config([Change("ray_actor_options.num_gpus", 1, "why")]).splitlines()
    (number,) = (number for number, line in enumerate(lines) if "num_gpus: 1" in line)
    assert "num_cpus" in lines[number - 1]
    assert "user_config" in lines[number + 1]


@pytest.mark.parametrize("section", ["unknown", "logging_config"])
def test_a_change_of_an_ambiguous_section_is_an_error(section: str) -> None:
    with pytest.raises(ValueError, match=f"sections {section}, not one"):
        serve_config([Change(f"{section}.enable_access_log", 0, "why")])


def test_a_second_quoted_text_is_an_error() -> None:
    """The component finds model_uri as the only quoted text."""
    with pytest.raises(ValueError, match="quote model_uri and nothing else"):
        serve_config([Change("http_options.host", '"0.0.0.0"', "why")])


def test_a_manifest_without_the_marked_line_is_an_error() -> None:
    with pytest.raises(ValueError, match="needs one line"):
        with_config("spec:\n  serveConfigV2: |\n    a: 1\n", "b: 2\n")


def test_only_the_marked_block_of_a_manifest_is_replaced() -> None:
    marked = "spec:\n  serveConfigV2: |  # written by `make manifests`\n"
    assert with_config(f"{marked}    a: 1\n\n    c: 3\n  after: 1\n", "b: 2\n") == (
        f"{marked}    b: 2\n  after: 1\n"
    )
