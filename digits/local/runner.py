"""Starts the service, waits until it answers, and ends it.

Its output goes to a log file; the terminal gets a few lines. Processes are found by the instance's mark, so
none outlives the command.
"""

import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import NoReturn

import yaml

from digits.errors import InvalidSettings, NotReady, last_line
from digits.gateway.environment import RAYS_PROXY, ROOT
from digits.local.api import Service, State
from digits.local.config import Config
from digits.local.instance import Instance, is_raylet
from digits.local.processes import end_all

START_WITHIN_S = 120.0
END_WITHIN_S = 8.0  # what Ray gets to end by itself
LOOK_EVERY_S = 0.3
MOST_LOG_BYTES = 2**26  # as RAY_ROTATION_MAX_BYTES in serve.env
HAPROXY_CONNECTIONS, FEWEST_CONNECTIONS = 4096, 128  # Ray's default, and the least with which it is started
# HAProxy does not start unless it may open all files that it could need: two for each connection, the two
# ends of a pipe for each fourth one, one for each replica, and 31 others.
HAPROXY_FILES_OF_TWO_CONNECTIONS, HAPROXY_OWN_FILES = 5, 128
MACOS_OPEN_FILES = 10240  # OPEN_MAX of its <sys/syslimits.h>


def open_files_of(connections: int) -> int:
    """Returns the limit of open files with which HAProxy starts for this number of connections."""
    return HAPROXY_FILES_OF_TWO_CONNECTIONS * connections // 2 + HAPROXY_OWN_FILES


HAPROXY_OPEN_FILES = open_files_of(HAPROXY_CONNECTIONS)


class Stopped(Exception):
    """SIGINT, SIGTERM or SIGHUP has arrived."""


@contextmanager
def signals_raise() -> Iterator[None]:
    """Makes SIGINT, SIGTERM and SIGHUP raise Stopped once.

    Then a further SIGINT or SIGTERM ends this process with status 130, and SIGHUP is ignored: a closed
    terminal sends two, from the kernel and from the shell. SIGHUP that is ignored already, as under nohup,
    stays so.
    """

    def first(_: int, __: FrameType | None) -> NoReturn:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, second)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        raise Stopped

    def second(_: int, __: FrameType | None) -> NoReturn:
        raise SystemExit(130)

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, first)
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        signal.signal(signal.SIGHUP, first)
    yield


def limit_open_files(haproxy: bool) -> dict[str, str]:
    """Raises the soft limit to the hard one; returns variables that adapt HAProxy to a low limit.

    Raises InvalidSettings if HAProxy could not accept even a few connections.
    """
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    except ValueError:  # macOS has no hard limit by default, and refuses more than OPEN_MAX
        resource.setrlimit(resource.RLIMIT_NOFILE, (MACOS_OPEN_FILES, hard))
    if not haproxy or hard == resource.RLIM_INFINITY or hard >= HAPROXY_OPEN_FILES:
        return {}
    connections = (hard - HAPROXY_OWN_FILES) * 2 // HAPROXY_FILES_OF_TWO_CONNECTIONS
    if connections < FEWEST_CONNECTIONS:
        needed = open_files_of(FEWEST_CONNECTIONS)
        raise InvalidSettings(
            f"a process may open {hard} files here, HAProxy needs {needed}: ulimit -Hn {needed}, or "
            "HAPROXY=0 for Ray's own proxy"
        )
    sys.stderr.write(f"A process may open {hard} files here, so HAProxy accepts {connections} connections\n")
    return {"RAY_SERVE_HAPROXY_MAXCONN": str(connections)}


def limit_log(log: Path, most_bytes: int) -> None:
    """Moves the text of a log above this size to a second file, NAME.1.log, which replaces an earlier one.

    Decoders write a line for a damaged picture, so any client could fill the disk. The service keeps the file
    open; lines written during the copy are lost. A deleted log, or a disk that is full, stops nothing.
    """
    with suppress(OSError):
        if log.stat().st_size > most_bytes:
            with suppress(OSError):
                shutil.copyfile(log, log.with_suffix(".1.log"))
            os.truncate(log, 0)


class Runner:
    """Starts one service and ends it; `log` is the file of its output."""

    def __init__(self, instance: Instance, config: Config, haproxy: bool) -> None:
        self._instance = instance
        self._service = Service(instance)
        self._config = config
        self._haproxy = haproxy
        self.log = instance.log

    def start(self) -> subprocess.Popen[bytes]:
        """Starts Ray and Serve. Raises InvalidSettings if a port is taken or processes are left over."""
        self._refuse_another_start()
        self._instance.check_ports(self._haproxy)
        fitted = limit_open_files(self._haproxy)
        self._instance.create()
        file = self._instance.config_file
        file.write_text(yaml.safe_dump(self._config, sort_keys=False))
        self.log.parent.mkdir(exist_ok=True)
        ports = self._instance.ports
        self.log.unlink(missing_ok=True)
        with self.log.open("ab") as log:  # appends, also after `limit_log` has emptied it
            return subprocess.Popen(
                [
                    sys.executable, "-m", "digits.local.driver", str(file),
                    str(ports["metrics"]), str(ports["dashboard"]),
                    str(self._instance.ray_folder),
                ],
                cwd=ROOT, env=self.environment(fitted),
                stdout=log, stderr=log, stdin=subprocess.DEVNULL,
                start_new_session=True,  # Ctrl-C reaches this process only
            )  # fmt: skip

    def environment(self, fitted: dict[str, str]) -> dict[str, str]:
        """Returns the variables of the service: those of the caller, then those of the instance.

        The instance's variables only win where they identify it or choose the proxy.
        """
        wanted = fitted | self._instance.environment(self._haproxy)
        own = {self._instance.mark.partition("=")[0], *RAYS_PROXY, *self._instance.client_environment()}
        python = str(Path(sys.executable).parent)  # HAProxy's start finds this Python there
        path = os.pathsep.join(filter(None, [python, os.environ.get("PATH")]))
        return wanted | os.environ | {key: wanted[key] for key in own} | {"PATH": path}

    def wait_until_ready(self, driver: subprocess.Popen[bytes]) -> str:
        """Returns the line with the service's address. Raises NotReady if it cannot start."""
        deadline = time.monotonic() + START_WITHIN_S
        while time.monotonic() < deadline:
            if driver.poll() is not None:
                said = last_line(self.log.read_text(errors="replace")) or "no output"
                raise NotReady(f"it ended with status {driver.returncode}: {said}")
            state = self._state()
            if state and not state.replicas and has_failed(state):
                raise NotReady(state.reason)
            if state and state.replicas and (ready := self._service.ready()):
                return ready_line(self._instance, ready["model"], state.replicas)
            time.sleep(LOOK_EVERY_S)
        raise NotReady(f"it did not answer within {START_WITHIN_S:g} s")

    def wait(self, driver: subprocess.Popen[bytes], raylet: int | None) -> str:
        """Returns why the service ends, when its driver or its raylet has ended; limits the log until then.

        The driver does not notice a dead raylet. Replicas answer then, but no dead one is replaced. `raylet`
        is its pid, None where processes do not show what they are.
        """
        while driver.poll() is None:
            if raylet and not is_raylet(raylet):
                return f"Ray's raylet (pid {raylet}) has ended, without which no replica can be replaced"
            limit_log(self.log, MOST_LOG_BYTES)
            time.sleep(LOOK_EVERY_S)
        return f"it ended with status {driver.returncode}"

    def end(self, driver: subprocess.Popen[bytes]) -> None:
        """Ends every process of the service within seconds, and removes its folder."""
        try:
            driver.send_signal(signal.SIGTERM)
            deadline = time.monotonic() + END_WITHIN_S
            while self._instance.running() and time.monotonic() < deadline:
                driver.poll()
                time.sleep(0.1)
        finally:  # a second Ctrl-C does not wait
            end_all(self._instance.running)
            driver.wait()
            self._instance.remove()

    def _refuse_another_start(self) -> None:
        if pid := self._instance.runner():
            raise InvalidSettings(
                f"a service already runs on port {self._instance.port} (pid {pid}): make stop stops it, "
                f"make serve PORT={self._instance.port + 100} starts another"
            )
        if left := self._instance.running():
            raise InvalidSettings(f"{len(left)} processes of an earlier start are left: make stop kills them")

    def _state(self) -> State | None:
        try:
            return self._service.state()
        except NotReady:
            return None


def has_failed(state: State) -> bool:
    """Returns whether a first deployment will not succeed, also if Ray goes on trying."""
    return state.status == "DEPLOY_FAILED" or "error" in state.reason.lower()


def ready_line(instance: Instance, model: dict[str, str], replicas: int | None) -> str:
    """Returns the line that says where the service answers, with which model, and by how many replicas."""
    count = "" if replicas is None else f", {replicas} replica{'' if replicas == 1 else 's'}"
    return f"Ready: {instance.url} (docs at /docs), model {model['name']} {model['version']}{count}"
