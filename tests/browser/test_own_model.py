"""The page of another task, the fruit of docs/your-own-model.md: pictures and names, no drawing."""

import os
import subprocess
import sys
from collections.abc import Iterator

import httpx2
import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, FilePayload, Page, expect

from testkit.cluster import wait_until
from testkit.encodings import image_file
from testkit.own_models import FRUIT
from testkit.ports import free_port

# The answer is the checksum of what the model was given.
SERVE = """
import sys, uvicorn
from digits.training.data import load
from digits.training.golden import choose_golden, write_golden
from testkit.fakes import api_of, checksum_classifier
write_golden(*choose_golden(load("own.npz")))
uvicorn.run(api_of(checksum_classifier()), port=int(sys.argv[1]), log_level="warning")
"""
PICTURE = FRUIT.draw("lime", FRUIT.side, np.random.default_rng(3))
LABEL = FRUIT.labels[int(PICTURE.sum(dtype=int)) % len(FRUIT.labels)]
FILE: FilePayload = {"name": "lime.png", "mimeType": "image/png", "buffer": image_file(PICTURE)}
# Red, green and blue of a pixel that the page shows of what the model saw.
SEEN = """([row, column]) =>
  [...document.getElementById("seen").getContext("2d").getImageData(column, row, 1, 1).data].slice(0, 3)"""


@pytest.fixture(scope="module")
def fruit_service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("fruit")
    FRUIT.copy(folder)
    port = free_port()
    environment = os.environ | {"PYTHONPATH": str(folder)}
    server = subprocess.Popen([sys.executable, "-c", SERVE, str(port)], cwd=folder, env=environment)
    url = f"http://127.0.0.1:{port}/"

    def answers() -> bool:
        assert server.poll() is None
        try:
            return httpx2.get(f"{url}healthz").status_code == 200
        except httpx2.TransportError:
            return False

    wait_until(answers, 60)
    yield url
    server.terminate()
    server.wait(10)


@pytest.fixture
def fruit_page(browser: Browser, fruit_service: str) -> Iterator[Page]:
    context = browser.new_context(bypass_csp=True, reduced_motion="reduce")  # axe is a script of its own
    page = context.new_page()
    page.goto(fruit_service)
    yield page
    context.close()


def test_a_picture_is_named_and_shown_in_colour(fruit_page: Page) -> None:
    page = fruit_page
    page.set_input_files("#file", FILE)
    expect(page.locator("#sentence")).to_contain_text(LABEL)
    expect(page.locator("#bars li.best")).to_contain_text(LABEL)
    expect(page.locator("#bars li")).to_have_count(len(FRUIT.labels))
    assert page.evaluate(SEEN, [16, 20]) == PICTURE[16, 20].tolist()


def test_what_only_digits_have_is_not_offered(fruit_page: Page) -> None:
    """No pen, no examples of digits, no word of drawing; a click on the field draws nothing."""
    page = fruit_page
    for hidden in ("#undo", "#clear", "#width", "#keys", "#examples", "#digit"):
        expect(page.locator(hidden)).to_be_hidden()
    page.locator("#drawing").click(position={"x": 80, "y": 80})
    expect(page.locator("#hint")).to_be_visible()
    expect(page.locator("#sentence")).to_have_text("Nothing to read yet")
    shown = page.inner_text("body").lower()
    assert "a digit" not in shown
    assert "draw" not in shown


def test_axe_finds_nothing_on_the_page_of_another_task(fruit_page: Page) -> None:
    page = fruit_page
    page.set_input_files("#file", FILE)
    expect(page.locator("#sentence")).to_contain_text(LABEL)
    violations = Axe().run(page).response["violations"]
    assert [(found["id"], found["nodes"][0]["html"]) for found in violations] == []
