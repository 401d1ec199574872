"""Ray for a training: joined or started on this machine, large enough, and left at Ctrl-C."""

import logging
import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any, TypeVar

from digits.errors import TrainingFailed
from digits.training.settings import TrainSettings

log = logging.getLogger(__name__)

# TensorFlow's lines about devices, oneDNN and CUDA would hide the progress; its errors come as exceptions.
QUIET = {"TF_CPP_MIN_LOG_LEVEL": "3"}
Resources = dict[str, float]  # of one node or worker: "CPU", "GPU" and others
Result = TypeVar("Result")


def worker_resources(settings: TrainSettings) -> Resources:
    return {"CPU": settings.cpus_per_worker, **({"GPU": 1} if settings.use_gpu else {})}


def connect(settings: TrainSettings) -> None:
    """Joins the cluster of RAY_ADDRESS, or starts Ray on this machine.

    Raises TrainingFailed if this machine is too small for the workers.  A cluster may grow: there a warning
    says what the training waits for.
    """
    import ray

    if not ray.is_initialized():
        environment = QUIET | {"PYTHONPATH": os.environ.get("PYTHONPATH", "")}
        ray.init(logging_level=logging.WARNING, runtime_env={"env_vars": environment})
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


def run_until_interrupted(run: Callable[[], Result]) -> Result:
    """Returns the result of `run`; at Ctrl-C or SIGTERM leaves Ray, which ends the workers, and raises it.

    `run` has a thread of its own: in the main thread Ray Train replaces Python's handler of Ctrl-C by one
    that does not end a training that waits for CPUs.
    """
    import ray

    result: Future[Result] = Future()

    def keep_result() -> None:
        try:
            result.set_result(run())
        except BaseException as error:
            result.set_exception(error)

    threading.Thread(target=keep_result, name="ray-train", daemon=True).start()
    try:
        return result.result()
    except (KeyboardInterrupt, SystemExit):
        ray.shutdown()
        _close_bars()
        raise


def _close_bars() -> None:
    """Ends the lines of progress bars: at the end of Python tqdm would draw them below the last message."""
    from tqdm import tqdm

    for bar in list(getattr(tqdm, "_instances", ())):
        bar.close()
