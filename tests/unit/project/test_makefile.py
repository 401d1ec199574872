"""The arguments that the Makefile passes on."""

import subprocess
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
SHOWS_ARGUMENTS = """#!/bin/sh
for argument in "$@"; do printf '%s\\n' "$argument"; done
"""


@pytest.mark.parametrize(
    ("target", "environment", "variable"),
    [
        ("train", "train", "DATA"),
        ("accuracy", "dev", "DATA"),
        ("serve", "serve", "CONFIG"),
        ("deploy-config", "serve", "CONFIG"),
        ("starter", "train", "NAME"),
        ("pictures", "dev", "MODEL"),
        ("report", "train", "MODEL"),
    ],
)
def test_a_file_name_with_spaces_is_one_argument(
    target: str, environment: str, variable: str, tmp_path: Path
) -> None:
    python = tmp_path / "python"
    python.write_text(SHOWS_ARGUMENTS)
    python.chmod(0o755)
    command = ["make", "-o", f".venv/{environment}.lock", target, f"BIN={tmp_path}", f"{variable}=a b.npz"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=True)
    assert {"a b.npz", "out/a b.npz"} & set(done.stdout.splitlines())


@pytest.mark.parametrize("target", ["serve", "deploy-config"])
def test_an_empty_config_is_the_shipped_one(target: str) -> None:
    command = ["make", "-n", "-o", ".venv/serve.lock", target, "CONFIG="]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=True)
    assert f'{target} "serve_config.yaml"' in done.stdout


def test_the_images_have_the_version_of_the_project() -> None:
    """pyproject.toml has other lines with a version."""
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    done = subprocess.run(
        ["make", "-n", "image"], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True
    )
    assert f"--tag digits-$target:{version} \\\n" in done.stdout
    assert f"--build-arg VERSION={version} --build-arg REVISION" in done.stdout
