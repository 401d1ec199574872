"""What every level shares: marks by folder, so that nobody has to remember them."""

from collections.abc import Callable
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
MARKED_FOLDERS = {"serve", "train", "containers", "kubernetes"}


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    elsewhere = []
    for item in items:
        folder = item.path.relative_to(TESTS).parts[0]
        if folder in MARKED_FOLDERS:
            item.add_marker(folder)
        if folder == "serve" and "proxy" in _parameters(item):
            if item.get_closest_marker("long_behind_rays_proxy"):
                item.add_marker("long")
            if item.get_closest_marker("haproxy_only"):
                elsewhere.append(item)
    config.hook.pytest_deselected(items=elsewhere)
    items[:] = [item for item in items if item not in elsewhere]


def _parameters(item: pytest.Item) -> list[object]:
    call = getattr(item, "callspec", None)
    return list(call.params.values()) if call else []


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def figure(record_property: Callable[[str, object], None]) -> Callable[[str], None]:
    """Keeps what a test measured of its promise; the run's summary lists them all."""
    return lambda text: record_property("figure", text)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    reports = [report for kind in ("passed", "failed") for report in terminalreporter.stats.get(kind, [])]
    figures = [(r.nodeid, text) for r in reports for name, text in r.user_properties if name == "figure"]
    if figures:
        terminalreporter.section("figures")
    for test, text in figures:
        terminalreporter.write_line(f"{test.partition('::')[2]}: {text}")
