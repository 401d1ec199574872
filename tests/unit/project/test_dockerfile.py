"""The Dockerfile says what other files say, and lets nothing in that they do not."""

import re
import tomllib
from fnmatch import fnmatch

from testkit.cluster import ROOT, read_serve_env

DOCKERFILE = (ROOT / "Dockerfile").read_text()
STEPS = re.sub(r"\\\n", " ", re.sub(r"(?m)^#.*\n", "", DOCKERFILE)).splitlines()


def test_the_environment_is_serve_env_line_for_line() -> None:
    said = re.findall(r'\b(RAY_SERVE_\w+)=("[^"]*"|\S+)', DOCKERFILE)
    environment = {name: value.strip('"') for name, value in said}
    assert environment.pop("RAY_SERVE_HAPROXY_BINARY_PATH") == "/app/digits/gateway/haproxy.py"
    assert environment == read_serve_env()


def test_what_is_copied_exists_and_is_let_in() -> None:
    allowed = [line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    for step in STEPS:
        if step.startswith("COPY") and "--from" not in step:
            *sources, _ = step.split()[1:]
            for source in sources:
                assert (ROOT / source).exists(), source
                assert any(fnmatch(source, pattern) for pattern in allowed), source


def test_everything_else_stays_out_of_the_build() -> None:
    first = next(
        line for line in (ROOT / ".dockerignore").read_text().splitlines() if not line.startswith("#")
    )
    assert first == "*"


def test_packages_are_installed_by_hash_from_the_locks() -> None:
    installs = [step for step in STEPS if " install " in step]
    assert len(installs) == 2
    for step, lock in zip(installs, ("serve", "train"), strict=True):
        assert "--require-hashes" in step
        assert f"/{lock}.txt" in step


def test_the_base_has_a_python_that_the_project_supports() -> None:
    (minor,) = re.findall(r"(?m)^ARG BASE=python:3\.(\d+)-slim-\w+$", DOCKERFILE)
    supported = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["requires-python"]
    low, high = (int(number) for number in re.findall(r"3\.(\d+)", supported))
    assert low <= int(minor) < high


def test_every_image_ends_as_a_user_by_number() -> None:
    users = [step for step in STEPS if step.startswith("USER")]
    assert users == ["USER 1000:1000"]
    assert DOCKERFILE.index("USER 1000") < DOCKERFILE.index("FROM runtime AS serve")


def test_the_makefile_and_the_dockerfile_name_the_version_of_the_project() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    for file in ("Dockerfile", "README.md", "kuberay/README.md"):
        tags = set(re.findall(r"digits-(?:serve|train):([\w.]+)", (ROOT / file).read_text()))
        assert tags == {version}, file
