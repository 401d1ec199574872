"""A service as `make serve` starts it on this machine, ended by `make stop`."""

import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from digits.local.api import Service
from digits.local.instance import Instance
from testkit.cluster import ROOT, wait_until

LOCAL = (sys.executable, "-m", "digits")


@contextmanager
def serving(
    port: int,
    config: Path = ROOT / "serve_config.yaml",
    *,
    replicas: int = 1,
    command: Sequence[str] = (),
    prefix: Sequence[str] = (),
    folder: Path = ROOT,
) -> Iterator[subprocess.Popen[str]]:
    """Yields the process that serves, once it is ready and this number of replicas runs.

    Its stdout is read up to the line that says so. `command` replaces that of `make serve`; `prefix` comes
    before it and before the command that stops it; `folder` may be another copy of the project. Raises
    RuntimeError with the output if the service does not start.
    """
    start = command or [*LOCAL, "serve", str(config), "--port", str(port)]
    runner = subprocess.Popen(
        [*prefix, *start], cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
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
        subprocess.run(stop, cwd=folder, stdout=subprocess.DEVNULL, check=True, timeout=60)
        runner.wait(20)


def wait_for_replicas(port: int, replicas: int) -> None:
    """Returns once this number of replicas runs and none starts or stops."""

    def are_there() -> bool:
        state = Service(Instance(port)).state()
        return bool(state and state.status == "RUNNING" and (state.replicas, state.changing) == (replicas, 0))

    wait_until(are_there, timeout_s=120)
