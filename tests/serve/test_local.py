"""`make serve`, `status` and `stop` with the real service: Ctrl-C, a killed Ray, a user with low limits."""

import os
import re
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import httpx2
import pytest
import yaml

from benchmarks.tune import Choice, Measured, report, write
from digits.local.driver import NICENESS
from digits.local.instance import Instance
from digits.local.processes import command_of
from testkit.cluster import ROOT, wait_until
from testkit.load import Open
from testkit.local import LOCAL, serving
from testkit.ports import free_service_port
from tests.programs import require_program, skip_or_fail
from tests.serve.under_load import Figure

PORT = free_service_port()


@pytest.fixture
def service() -> Iterator[subprocess.Popen[str]]:
    with serving(PORT) as runner:
        yield runner


def ask(command: str, prefix: Sequence[str] = ()) -> tuple[int, str]:
    """Runs one of the commands for the service on PORT; returns its status and what it says."""
    done = subprocess.run(
        [*prefix, *LOCAL, command, "--port", str(PORT)],
        cwd=ROOT, text=True, timeout=60, check=False, stdout=subprocess.PIPE,
    )  # fmt: skip
    return done.returncode, done.stdout


def niceness_of(program: str) -> set[int]:
    """Returns the niceness of the service's processes that run a program."""
    pids = [pid for pid in Instance(PORT).running() if program in " ".join(command_of(pid))]
    return {os.getpriority(os.PRIO_PROCESS, pid) for pid in pids}


def port_is_free() -> bool:
    try:
        with socket.create_server(("127.0.0.1", PORT)):
            return True
    except OSError:
        return False


def test_what_ray_rejects_ends_a_start_with_its_reason(tmp_path: Path) -> None:
    """Nothing is left of it."""
    config = yaml.safe_load((ROOT / "serve_config.yaml").read_text()) | {"proxy_location": "Nowhere"}
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
    done = subprocess.run(
        [*LOCAL, "serve", str(tmp_path / "config.yaml"), "--port", str(PORT)],
        cwd=ROOT, text=True, timeout=60, check=False, stdout=subprocess.PIPE,
    )  # fmt: skip
    assert done.returncode == 1
    reason = "proxy_location: Input should be 'Disabled', 'HeadOnly' or 'EveryNode', not 'Nowhere'\n"
    assert reason in done.stdout
    assert Instance(PORT).running() == []
    assert not Instance(PORT).folder.exists()


def test_ctrl_c_ends_the_service_with_status_0(figure: Figure) -> None:
    """In ten seconds and one line, without a process, a port or a folder left."""
    start = time.monotonic()
    with serving(PORT) as service:
        ready_s = time.monotonic() - start
        assert ask("status")[1].startswith(
            f"Ready: http://127.0.0.1:{PORT} (docs at /docs), model digits starter, 1 replica\n"
        )
        if sys.platform == "linux":
            assert niceness_of("dashboard/dashboard.py") == {NICENESS}
        start = time.monotonic()
        service.send_signal(signal.SIGINT)
        assert service.wait(20) == 0
        ended_s = time.monotonic() - start
        assert service.stdout
        assert service.stdout.read() == "Stopped\n"
        assert Instance(PORT).running() == []
        assert not Instance(PORT).folder.exists()
        assert port_is_free()
    figure(f"ready after {ready_s:.1f} s, ended after {ended_s:.1f} s")
    assert ended_s < 10


def test_only_the_user_reaches_the_files_of_a_service(service: subprocess.Popen[str]) -> None:
    """Ray makes its own folders writable for all; the one around them shuts other users out."""
    folder = Instance(PORT).folder
    assert stat.filemode(folder.stat().st_mode) == "drwx------"
    assert (folder / "ray" / "session_latest" / "logs" / "serve").is_dir()
    for socket_file in ("raylet", "plasma_store"):
        assert (folder / "ray" / "session_latest" / "sockets" / socket_file).exists()


def test_a_killed_driver_leaves_nothing(service: subprocess.Popen[str], figure: Figure) -> None:
    """HAProxy included: the port is free, and the command says where the reason is."""
    children = subprocess.run(["pgrep", "-P", str(service.pid)], capture_output=True, text=True, check=True)
    start = time.monotonic()
    os.kill(int(children.stdout.split()[0]), signal.SIGKILL)
    wait_until(port_is_free, timeout_s=15)
    figure(f"port free after {time.monotonic() - start:.1f} s")
    assert service.wait(30) == 1
    assert Instance(PORT).running() == []


@pytest.mark.skipif(sys.platform != "linux", reason="/proc shows the processes of a service")
def test_a_killed_raylet_ends_the_service_with_status_1(
    service: subprocess.Popen[str], figure: Figure
) -> None:
    """Otherwise replicas would answer until one dies, and then each request would wait for the time limit."""
    raylet = Instance(PORT).raylet()
    assert raylet
    start = time.monotonic()
    os.kill(raylet, signal.SIGKILL)
    assert service.wait(30) == 1
    figure(f"ended after {time.monotonic() - start:.1f} s")
    assert service.stdout
    assert f"Ray's raylet (pid {raylet}) has ended" in service.stdout.read()
    assert Instance(PORT).running() == []
    assert port_is_free()


OTHER_USER = 65534


@pytest.fixture
def narrow_user() -> list[str]:
    """What runs a command as another user, who may write nothing here, without a home, with 4,096 open files.

    The capability lets that user read a Python that is in root's home.
    """
    require_program("setpriv", "util-linux")
    if os.getuid():
        skip_or_fail("root", "only root may start a program as another user")
    reads = "dac_read_search"
    return [
        "env", "-u", "HOME", "prlimit", "--nofile=4096:4096",
        "setpriv", f"--reuid={OTHER_USER}", f"--regid={OTHER_USER}", "--clear-groups",
        f"--inh-caps=+{reads}", f"--ambient-caps=+{reads}", "--",
    ]  # fmt: skip


def test_a_second_user_without_home_and_files_serves(
    service: subprocess.Popen[str], narrow_user: list[str]
) -> None:
    """Beside the first user's service: neither's files, ports or limits are in the other's way."""
    status, said = ask("serve", narrow_user)
    assert (status, len(said.splitlines())) == (2, 1)
    assert f"port {PORT} (requests) is held by a process of another user" in said
    assert ask("status", narrow_user)[1].startswith(f"Error: no service of yours runs on port {PORT}")
    other = free_service_port()
    folder = Instance(other).folder.with_name(f"digits-{OTHER_USER}-{other}")
    with serving(other, prefix=narrow_user) as runner:
        for port in (PORT, other):
            picture = (ROOT / "docs" / "seven.png").read_bytes()
            assert httpx2.post(f"http://127.0.0.1:{port}/predict", content=picture).json()["digit"] == 7
        (haproxy,) = folder.glob("h/**/haproxy.cfg")
        assert re.search(r"(?m)^ +maxconn 1587$", haproxy.read_text())
        runner.send_signal(signal.SIGINT)
        assert runner.wait(20) == 0
        assert not folder.exists()
    assert ask("status")[0] == 0


def test_the_advice_of_tune_is_what_make_serve_runs(tmp_path: Path) -> None:
    """The command in the report, with as many replicas as a machine of two cores has CPUs."""
    best = Measured(Choice(replicas=2, batch=32, ongoing=128), 1000, 2000)
    seen = Open(750, 750, 750, 5, 50.6, {"200": 4500}, {"200": 60}, 0)
    file = tmp_path / "serve_config.yaml"
    write(best.choice, 750, 50, file)
    report(file, 50, [best], best, 750, seen)
    text = (tmp_path / "report.md").read_text()
    assert "p99 50.6 ms: not kept" in text
    (advice,) = re.findall(r"To use it: `make (.+?)`", text)
    command = ["make", "-o", ".venv/serve.lock", *advice.split(), f"PORT={PORT}"]
    with serving(PORT, command=command, replicas=2):
        status, said = ask("status")
        assert (status, "2 replicas" in said, "RUNNING" in said) == (0, True, True)
