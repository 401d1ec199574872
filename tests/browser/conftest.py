"""The page in a real Chromium, in front of the real app with the starter model."""

import hashlib
import shutil
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from digits.gateway.settings import EdgeSettings
from testkit.serving import served
from tests.programs import require_program

KEY = "open-sesame"
# Chromium makes no requests of its own.
FLAGS = (
    "--disable-gpu", "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--no-first-run", "--no-sandbox",
)  # fmt: skip


@pytest.fixture(scope="session")
def service() -> Iterator[str]:
    with served(EdgeSettings()) as url:
        yield url


@pytest.fixture(scope="session")
def keyed_service() -> Iterator[str]:
    """A service that accepts KEY only."""
    with served(EdgeSettings(api_keys_sha256=(hashlib.sha256(KEY.encode()).hexdigest(),))) as url:
        yield url


@pytest.fixture(scope="module")  # while Playwright runs, asyncio.run fails in other tests
def browser() -> Iterator[Browser]:
    require_program("chromium", "chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=list(FLAGS))
        yield browser
        browser.close()


@pytest.fixture
def page(browser: Browser, service: str) -> Iterator[Page]:
    """The page on a desktop; the test fails if the page wrote an error to the console."""
    context = browser.new_context(viewport={"width": 1280, "height": 900}, color_scheme="light")
    page = context.new_page()
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    page.goto(service)
    yield page
    context.close()
    assert [error for error in errors if "Failed to load resource" not in error] == []
