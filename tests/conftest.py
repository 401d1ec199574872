"""What every level shares: marks by folder, so that nobody has to remember them."""

from pathlib import Path

import pytest

TESTS = Path(__file__).parent
MARKED_FOLDERS = {"serve", "train"}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        folder = item.path.relative_to(TESTS).parts[0]
        if folder in MARKED_FOLDERS:
            item.add_marker(folder)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"
