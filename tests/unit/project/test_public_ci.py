"""The public CI and the hooks before a commit run what this project has."""

import re
import tomllib
from typing import Any

import yaml

from project.documents import ROOT


def loaded(file: str) -> Any:
    return yaml.safe_load((ROOT / file).read_text())


def test_the_public_ci_runs_ci_run_on_every_python() -> None:
    job = loaded(".github/workflows/ci.yml")["jobs"]["ci"]
    assert [step for step in job["steps"] if ".ci/run" in step.get("run", "")]
    least, below = re.findall(
        r"3\.(\d+)", tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["requires-python"]
    )
    assert job["strategy"]["matrix"]["python"] == [f"3.{minor}" for minor in range(int(least), int(below))]


def test_every_action_is_pinned_to_a_commit() -> None:
    used = re.findall(r"uses: (\S+)", (ROOT / ".github" / "workflows" / "ci.yml").read_text())
    assert used
    assert [name for name in used if not re.fullmatch(r"[\w/-]+@[0-9a-f]{40}", name)] == []


def test_the_hooks_are_make_targets() -> None:
    targets = set(re.findall(r"^([a-z0-9-]+):.*## ", (ROOT / "Makefile").read_text(), re.MULTILINE))
    hooks = [hook for repo in loaded(".pre-commit-config.yaml")["repos"] for hook in repo["hooks"]]
    assert hooks
    assert [hook["entry"] for hook in hooks if hook["entry"].removeprefix("make ") not in targets] == []
