"""Ray for a training: joined or started on this machine, large enough, and left at Ctrl-C."""

import logging
import os
import signal
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from digits.errors import TrainingFailed
from digits.training.interrupts import caught
from digits.training.quiet import VARIABLES, quiet_tensorflow
from digits.training.settings import TrainSettings

log = logging.getLogger(__name__)

Resources = dict[str, float]  # of one node or worker: "CPU", "GPU" and others


def worker_resources(settings: TrainSettings) -> Resources:
    return {"CPU": settings.cpus_per_worker, **({"GPU": 1} if settings.use_gpu else {})}


def connect(settings: TrainSettings) -> None:
    """Joins the cluster of RAY_ADDRESS, or starts Ray on this machine.

    Raises TrainingFailed if this machine is too small for the workers.  A cluster may grow: there a warning
    says what the training waits for.
    """
    import ray

    if not ray.is_initialized():
        environment = VARIABLES | {"PYTHONPATH": os.environ.get("PYTHONPATH", "")}
        of_workers = {"env_vars": environment, "worker_process_setup_hook": quiet_tensorflow}
        on_sigterm = signal.getsignal(signal.SIGTERM)
        ray.init(logging_level=logging.WARNING, runtime_env=of_workers)
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, on_sigterm)  # Ray's aborts the program when Python ends
    found: list[dict[str, Any]] = ray.nodes()  # type: ignore[no-untyped-call]
    nodes = [node["Resources"] for node in found if node["Alive"]]
    if shortage := describe_shortage(settings, nodes):
        if not os.environ.get("RAY_ADDRESS"):
            raise TrainingFailed(shortage)
        log.warning("the training waits for a larger cluster: %s", shortage)


def describe_shortage(settings: TrainSettings, nodes: Sequence[Resources]) -> str:
    """Returns what the workers need and what the nodes have; "" if all workers fit at once."""
    needed = worker_resources(settings)
    room = sum(min(int(node.get(name, 0) // amount) for name, amount in needed.items()) for node in nodes)
    if room >= settings.num_workers:
        return ""
    have = "; ".join(_amounts({name: node.get(name, 0) for name in needed}) for node in nodes)
    kind = " with --use-gpu" if settings.use_gpu else ""
    return (
        f"--num-workers {settings.num_workers}{kind} needs {settings.num_workers} times "
        f"{_amounts(needed)}, and Ray has room for {room}: its nodes have {have or 'nothing'}; "
        f"choose fewer --num-workers or --cpus-per-worker{', or --no-use-gpu' if settings.use_gpu else ''}"
    )


def _amounts(resources: Resources) -> str:
    return " and ".join(f"{amount:g} {name}" for name, amount in resources.items())


@contextmanager
def left_when_interrupted() -> Iterator[None]:
    """Leaves Ray at Ctrl-C or SIGTERM, which ends the workers, and raises it on.

    The block must use Ray in this thread only: a process whose other thread waited in `ray.get` while Ray was
    shut down has ended by SIGSEGV, rarely, and for no cause that was found.
    """
    import ray

    try:
        yield
    except (KeyboardInterrupt, SystemExit):
        caught()
        ray.shutdown()
        _close_bars()
        raise


def _close_bars() -> None:
    """Ends the lines of progress bars: at the end of Python tqdm would draw them below the last message."""
    from tqdm import tqdm

    for bar in list(getattr(tqdm, "_instances", ())):
        bar.close()
