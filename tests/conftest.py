"""What every level shares: marks by folder, so that nobody has to remember them."""

from pathlib import Path

import pytest

TESTS = Path(__file__).parent
MARKED_FOLDERS = {"serve", "train", "kubernetes"}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        folder = item.path.relative_to(TESTS).parts[0]
        if folder in MARKED_FOLDERS:
            item.add_marker(folder)
        call = getattr(item, "callspec", None)
        is_behind_rays_proxy = call and call.params.get("cluster") == "proxy"
        if is_behind_rays_proxy and item.get_closest_marker("long_behind_rays_proxy"):
            item.add_marker("long")


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"
