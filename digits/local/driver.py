"""The process in which Ray and `serve run` start.

    python -m digits.local.driver CONFIG METRICS_PORT DASHBOARD_PORT FOLDER

`serve run` alone would choose the ports of dashboard and metrics by itself.
"""

import os
import runpy
import signal
import sys
from pathlib import Path

import yaml

from digits.errors import InvalidSettings
from digits.gateway.haproxy import end_with_parent
from digits.local.schema import check_by_rays_schema


def main(config: str, metrics_port: str, dashboard_port: str, folder: str) -> None:
    if sys.platform == "linux":
        end_with_parent(os.getppid(), signal.SIGTERM)
    try:
        check_by_rays_schema(yaml.safe_load(Path(config).read_text()))
    except InvalidSettings as error:
        sys.exit(str(error))  # the last line of the log, which the runner repeats
    import ray

    ray.init(
        namespace="serve",
        # Twice the cores: in a rolling update the new replica starts beside the one that it replaces.
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
