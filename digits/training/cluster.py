"""Ray for a training: connected or started, and checked for enough resources."""

import logging
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from digits.errors import TrainingFailed
from digits.ray_start import PREEMPTION_WATCHER, start_ray
from digits.training.quiet import VARIABLES, quiet_tensorflow
from digits.training.settings import TrainSettings

log = logging.getLogger(__name__)

PROJECT = str(Path(__file__).parents[2])  # the folder that holds the package

Resources = dict[str, float]  # resources of one node or worker: "CPU", "GPU" and others


def worker_resources(settings: TrainSettings) -> Resources:
    return {"CPU": settings.cpus_per_worker, **({"GPU": 1} if settings.use_gpu else {})}


def storage_of(settings: TrainSettings) -> str:
    """Returns --storage-path as an address or absolute path: workers run in another folder."""
    path = settings.storage_path
    return path if "://" in path else str(Path(path).resolve())


def connect(settings: TrainSettings, trainings: int = 1, shows_logs: bool = True) -> None:
    """Joins the cluster of RAY_ADDRESS, or starts Ray here; `shows_logs` shows the workers' output.

    Raises RayUnavailable, and TrainingFailed if this machine is too small for the workers of this many
    trainings at a time. A cluster may grow, so there a warning says what the training waits for.
    """
    import ray

    if not ray.is_initialized():
        # A worker loads the hook before Ray tells it where the driver found this package.
        paths = [PROJECT, *filter(None, [os.environ.get("PYTHONPATH")])]
        environment = VARIABLES | {"PYTHONPATH": os.pathsep.join(paths)}
        if not os.environ.get("RAY_ADDRESS"):
            environment |= {PREEMPTION_WATCHER: "0"}
        of_workers = {"env_vars": environment, "worker_process_setup_hook": set_up_process}
        start_ray(logging_level=logging.WARNING, runtime_env=of_workers, log_to_driver=shows_logs)
    found: list[dict[str, Any]] = ray.nodes()  # type: ignore[no-untyped-call]
    nodes = [node["Resources"] for node in found if node["Alive"]]
    if shortage := describe_shortage(settings, nodes, trainings):
        if not os.environ.get("RAY_ADDRESS"):
            raise TrainingFailed(shortage)
        log.warning("the training waits for a larger cluster: %s", shortage)


def set_up_process() -> None:
    """Runs first in every process that Ray starts for a training."""
    import ray

    quiet_tensorflow()
    # Ray Train's own processes look for the cluster again, and fail if another Ray runs on this machine: the
    # CPUs of a trial that a search has stopped would stay reserved, and the search would wait for ever.
    os.environ.setdefault("RAY_ADDRESS", ray.get_runtime_context().gcs_address)


def describe_shortage(settings: TrainSettings, nodes: Sequence[Resources], trainings: int = 1) -> str:
    """Returns what the workers need and what the nodes have; "" if enough workers fit at once."""
    needed = worker_resources(settings)
    room = sum(min(int(node.get(name, 0) // amount) for name, amount in needed.items()) for node in nodes)
    least = settings.min_workers or settings.num_workers
    if room >= least * trainings:
        return ""
    have = "; ".join(_amounts({name: node.get(name, 0) for name in needed}) for node in nodes)
    flag = "--min-workers" if settings.min_workers else "--num-workers"
    kind = " with --use-gpu" if settings.use_gpu else ""
    several = f"--max-concurrent {trainings} with " if trainings > 1 else ""
    fewer = "--max-concurrent, " if trainings > 1 else ""
    return (
        f"{several}{flag} {least}{kind} needs {least * trainings} times "
        f"{_amounts(needed)}, but Ray has room for {room}: its nodes have {have or 'nothing'}; choose fewer "
        f"{fewer}{flag} or --cpus-per-worker{', or --no-use-gpu' if settings.use_gpu else ''}"
    )


def _amounts(resources: Resources) -> str:
    return " and ".join(f"{amount:g} {name}" for name, amount in resources.items())
