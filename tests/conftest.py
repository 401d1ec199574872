"""For all tests: markers by folder, the figures they measured, and what a run left out."""

import os
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
LEFT_OUT = pytest.StashKey[Counter[str]]()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[LEFT_OUT] = Counter()
    # Under `make test`, a test's own make would take over that one's flags and variables.
    for name in ("MAKEFLAGS", "MFLAGS", "MAKEOVERRIDES", "MAKELEVEL"):
        os.environ.pop(name, None)
    # A proxy of the network reaches no server that a test starts.
    listed = os.environ.get("no_proxy") or os.environ.get("NO_PROXY")
    os.environ["no_proxy"] = ",".join(filter(None, [listed, "127.0.0.1", "localhost"]))


@pytest.hookimpl(tryfirst=True)  # before pytest's own hook, which selects by these markers
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks each test by its folder and its proxy; one only for HAProxy does not run behind Ray's own."""
    for item in items:
        folder = item.path.relative_to(TESTS).parts[0]
        item.add_marker(folder)
        if folder == "serve" and "rays-proxy" in _parameters(item):
            item.add_marker("rays_proxy")
            if item.get_closest_marker("long_behind_rays_proxy"):
                item.add_marker("long")
    items[:] = [item for item in items if not {"rays_proxy", "haproxy_only"} <= _markers(item)]


def pytest_deselected(items: Sequence[pytest.Item]) -> None:
    for item in items:
        item.config.stash[LEFT_OUT][_command_of(_markers(item))] += 1


def _command_of(markers: set[str]) -> str:
    """Returns the command that runs a test with these markers."""
    if "kubernetes" in markers:
        return "make k8s-test    on the cluster of kubectl's context"
    if "long" in markers:
        return "make faults      faults that take minutes each"
    return "make test-all    all others"


def _parameters(item: pytest.Item) -> list[object]:
    call = getattr(item, "callspec", None)
    return list(call.params.values()) if call else []


def _markers(item: pytest.Item) -> set[str]:
    return {marker.name for marker in item.iter_markers()}


@pytest.fixture
def anyio_backend() -> str:
    """Runs every async test on asyncio."""
    return "asyncio"


@pytest.fixture
def figure(record_property: Callable[[str, object], None]) -> Callable[[str], None]:
    """Keeps a measured result as text; the run's summary lists them all."""
    return lambda text: record_property("figure", text)


@pytest.hookimpl(trylast=True)  # the last section before the names of failed tests
def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Prints the measured figures, then the tests that this run left out with the command for each."""
    if left_out := config.stash[LEFT_OUT]:
        terminalreporter.section("tests left out of this run")
    for command, count in sorted(left_out.items()):
        terminalreporter.write_line(f"{count:5,}  {command}")
    reports = [report for kind in ("passed", "failed") for report in terminalreporter.stats.get(kind, [])]
    figures = [(r.nodeid, text) for r in reports for name, text in r.user_properties if name == "figure"]
    if figures:
        terminalreporter.section("figures")
    for test, text in figures:
        terminalreporter.write_line(f"{test.partition('::')[2]}: {text}")
