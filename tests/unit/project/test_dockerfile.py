"""The Dockerfile agrees with the other files of the project, and copies nothing else into the image."""

import os
import re
import subprocess
import tomllib
from fnmatch import fnmatch

from digits.gateway.environment import read_serve_env
from testkit.cluster import ROOT

DOCKERFILE = (ROOT / "Dockerfile").read_text()
STEPS = re.sub(r"\\\n", " ", re.sub(r"(?m)^#.*\n", "", DOCKERFILE)).splitlines()


def bash_environment(**set_already: str) -> dict[str, str]:
    """Returns the environment in `bash -c`, which KubeRay and the entrypoint of the image use."""
    (script,) = re.findall(r"BASH_ENV=/app/(\S+)", DOCKERFILE)
    environment = {"PATH": os.environ["PATH"], "BASH_ENV": str(ROOT / script), **set_already}
    command = ["bash", "-c", "--", "ulimit -n; printenv"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=30, check=True)
    assert done.stderr == ""
    return dict(line.split("=", 1) for line in done.stdout.splitlines() if "=" in line)


def test_bash_in_the_image_sets_what_serve_env_holds() -> None:
    environment = bash_environment()
    assert read_serve_env().items() <= environment.items()
    assert {name for name in environment if name.startswith(("RAY", "MALLOC"))} == read_serve_env().keys()


def test_a_variable_that_a_pod_sets_wins_over_serve_env() -> None:
    environment = bash_environment(RAY_SERVE_HAPROXY_NBTHREAD="8", RAY_SERVE_LOG_TO_STDERR="")
    assert environment["RAY_SERVE_HAPROXY_NBTHREAD"] == "8"
    assert environment["RAY_SERVE_LOG_TO_STDERR"] == ""


def test_the_image_reads_serve_env_and_retypes_nothing_of_it() -> None:
    """Only the path of HAProxy is the image's own."""
    assert set(re.findall(r"\b(RAY_SERVE_\w+)=", DOCKERFILE)) == {"RAY_SERVE_HAPROXY_BINARY_PATH"}
    assert any(step.startswith("COPY") and " serve.env " in step for step in STEPS)
    assert 'ENTRYPOINT ["bash", "-c", "exec \\"$@\\"", "bash"]' in STEPS


def test_copied_files_exist_and_dockerignore_admits_them() -> None:
    allowed = [line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    for step in STEPS:
        if step.startswith("COPY") and "--from" not in step:
            *sources, _ = step.split()[1:]
            for source in sources:
                assert (ROOT / source).exists(), source
                assert any(fnmatch(source, pattern) for pattern in allowed), source


def test_dockerignore_excludes_everything_else() -> None:
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


def test_the_base_image_has_a_supported_python() -> None:
    (minor,) = re.findall(r"(?m)^ARG BASE=python:3\.(\d+)-slim-\w+$", DOCKERFILE)
    supported = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["requires-python"]
    low, high = (int(number) for number in re.findall(r"3\.(\d+)", supported))
    assert low <= int(minor) < high


def test_the_images_run_as_a_numeric_user() -> None:
    users = [step for step in STEPS if step.startswith("USER")]
    assert users == ["USER 1000:1000"]
    assert DOCKERFILE.index("USER 1000") < DOCKERFILE.index("FROM runtime AS serve")


def test_every_image_tag_is_the_version_of_the_project() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    for file in ("Dockerfile", "kuberay/README.md"):
        tags = set(re.findall(r"digits-(?:serve|train):([\w.]+)", (ROOT / file).read_text()))
        assert tags == {version}, file
