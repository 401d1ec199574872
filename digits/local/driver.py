"""The process that starts Ray and `serve run`.

python -m digits.local.driver CONFIG METRICS_PORT DASHBOARD_PORT FOLDER

`serve run` alone has no options for the ports of dashboard and metrics.
"""

import os
import runpy
import signal
import sys
from pathlib import Path
from threading import Event, Thread
from typing import Any

import yaml

from digits.errors import InvalidSettings
from digits.gateway.haproxy import end_with_parent
from digits.local.schema import check_by_rays_schema

NICENESS = 10  # of the dashboard; Ray gives its workers, such as the replicas, 15


def start_dashboard_aside(node_class: Any) -> None:
    """Patches Ray's Node to start the rest of Ray before the dashboard is up, and to give it the cores first.

    Only `serve` commands and the dashboard's page need it. A start becomes a quarter shorter on two cores.
    """
    start = node_class.start_api_server

    def aside(node: Any, **options: Any) -> None:
        def run() -> None:
            if sys.platform == "linux":  # where the priority is this thread's, and that of what it starts
                os.setpriority(os.PRIO_PROCESS, 0, NICENESS)
            start(node, **options)
            Event().wait()  # Linux ends a child that Ray ties to its parent when the thread that made it ends

        Thread(target=run, name="dashboard", daemon=True).start()

    node_class.start_api_server = aside


def main(config: str, metrics_port: str, dashboard_port: str, folder: str) -> None:
    """Starts Ray, and becomes `serve run` with the configuration."""
    if sys.platform == "linux":
        end_with_parent(os.getppid(), signal.SIGTERM)
    try:
        check_by_rays_schema(yaml.safe_load(Path(config).read_text()))
    except InvalidSettings as error:
        sys.exit(str(error))  # the last line of the log, which the runner repeats
    import ray
    from ray._private.node import Node

    start_dashboard_aside(Node)
    ray.init(
        namespace="serve",
        # Twice the cores, so that a rolling update can start a new replica beside the one that it replaces.
        num_cpus=2 * (os.cpu_count() or 1),
        dashboard_host="127.0.0.1",
        dashboard_port=int(dashboard_port),
        _metrics_export_port=int(metrics_port),
        _temp_dir=folder,
    )
    sys.argv = ["serve", "run", config]
    runpy.run_module("ray.serve.scripts", run_name="__main__")


if __name__ == "__main__":
    main(*sys.argv[1:])
