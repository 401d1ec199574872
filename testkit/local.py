"""A service as `make serve` starts it on this machine, ended by `make stop`."""

import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from digits.local.api import Service
from digits.local.instance import Instance
from digits.local.ports import is_free
from testkit.cluster import ROOT, free_port, wait_until

LOCAL = (sys.executable, "-m", "digits")


def free_service_port() -> int:
    """Returns a port for a service all of whose ports are free."""
    while True:
        port = free_port()
        if all(map(is_free, Instance(port).ports.values())):
            return port


@contextmanager
def serving(
    port: int,
    config: Path = ROOT / "serve_config.yaml",
    *,
    replicas: int = 1,
    command: Sequence[str] = (),
    prefix: Sequence[str] = (),
) -> Iterator[subprocess.Popen[str]]:
    """Yields the process that serves, once it says that it is ready and so many replicas run.

    Its output goes on behind that line.  `command` stands in for that of `make serve`; `prefix` runs it,
    and the end, in other circumstances.  Raises RuntimeError with its output if it does not start.
    """
    start = command or [*LOCAL, "serve", str(config), "--port", str(port)]
    runner = subprocess.Popen(
        [*prefix, *start], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    assert runner.stdout
    said = []
    try:
        for line in runner.stdout:
            said.append(line)
            if line.startswith("Ready: "):
                break
        else:
            raise RuntimeError(f"the service did not start: {''.join(said)}")
        if replicas > 1:
            wait_for_replicas(port, replicas)
        yield runner
    finally:
        stop = [*prefix, *LOCAL, "stop", "--port", str(port)]
        subprocess.run(stop, cwd=ROOT, stdout=subprocess.DEVNULL, check=True, timeout=60)
        runner.wait(20)


def wait_for_replicas(port: int, replicas: int) -> None:
    """Returns once so many replicas run and none starts or stops."""

    def are_there() -> bool:
        state = Service(Instance(port)).state()
        return bool(state and state.status == "RUNNING" and (state.replicas, state.changing) == (replicas, 0))

    wait_until(are_there, timeout_s=120)
