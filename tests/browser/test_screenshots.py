"""The pictures of the page in the documents: `make screenshots` writes them into docs/."""

import os
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, expect

from digits.corpus.examples import example
from tests.browser.hand import a_digit, draw

DESKTOP: dict[str, Any] = {"viewport": {"width": 1280, "height": 900}}
PHONE: dict[str, Any] = {
    "viewport": {"width": 390, "height": 844},
    "is_mobile": True,
    "has_touch": True,
    "device_scale_factor": 2,
}
SHOTS: dict[str, tuple[str, dict[str, Any]]] = {
    "page-desktop": ("", DESKTOP),
    "page-dark": ("", DESKTOP | {"color_scheme": "dark"}),
    "page-phone": ("", PHONE),
    "reference-desktop": ("docs", DESKTOP),
}
MOST_BYTES = 260_000
PHOTO = "page-desktop"  # shows a photo, the others a drawing


def photo() -> bytes:
    """Returns the photo of a handwritten 3 on a card that lies on a desk."""
    return example("card_on_a_desk", "judge", 5, 3).data


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where the pictures go; nowhere that stays in a common test run."""
    return Path(os.environ.get("DIGITS_SCREENSHOTS", tmp_path))


@pytest.mark.parametrize("name", SHOTS)
def test_a_screenshot_shows_an_answer(browser: Browser, service: str, folder: Path, name: str) -> None:
    path, options = SHOTS[name]
    context = browser.new_context(**({"color_scheme": "light"} | options), reduced_motion="reduce")
    page = context.new_page()
    page.goto(service + path)
    if path:
        page.get_by_role("button", name="Try it: POST /predict, an image file").click()
        expect(page.get_by_text('"digit": 7')).to_be_visible()
        page.evaluate("scrollTo(0, 0)")
    else:
        if name == PHOTO:
            page.set_input_files("#file", {"name": "photo.jpg", "mimeType": "image/jpeg", "buffer": photo()})
        else:
            draw(page, a_digit(3))
        expect(page.locator("#sentence")).to_contain_text("3")
        page.click("#burst")
        expect(page.locator("#burst-help")).to_contain_text("200 pictures in 40 requests", timeout=20_000)
        page.evaluate("scrollTo(0, 0); document.activeElement.blur()")
    file = folder / f"{name}.png"
    page.screenshot(path=file)
    assert file.stat().st_size <= MOST_BYTES
    context.close()
