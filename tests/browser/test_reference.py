"""The reference at /docs: what a person reads there is true, and every request on it can be tried."""

import re

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from digits.http.openapi import openapi_document
from digits.problems import PROBLEMS
from tests.browser.conftest import KEY


@pytest.fixture
def reference(page: Page, service: str) -> Page:
    """The page, once it has read the OpenAPI document."""
    page.goto(f"{service}docs")
    expect(page.locator("#problems tr")).to_have_count(len(PROBLEMS) + 1)
    return page


def test_every_request_of_the_reference_can_be_tried(reference: Page) -> None:
    """Each is answered 200, but the one that is disabled without an admin key."""
    buttons = reference.get_by_role("button", name="Try it")
    names = [button.get_attribute("aria-label") or "" for button in buttons.all()]
    for part in ("an image file", "multipart/form-data", "base64", "octet-stream", "text/plain",
                 "binary tensors", "/invocations", ":predict"):  # fmt: skip
        assert any(part in name for name in names), part
    for button in buttons.all():
        button.click()
    statuses = reference.locator("output p")
    expect(statuses).to_have_count(len(names))
    expect(reference.locator("output p.ok, output p.bad")).to_have_count(len(names), timeout=20_000)
    texts = statuses.all_inner_texts()
    failed = [(name, text) for name, text in zip(names, texts, strict=True) if not text.startswith("200")]
    assert [(name, text[:3]) for name, text in failed] == [
        (next(name for name in names if "/admin/reload" in name), "403")
    ]


def test_every_operation_is_in_the_reference(reference: Page) -> None:
    shown = set(reference.locator("section.call h3 code").all_inner_texts())
    paths = {path for path in openapi_document()["paths"] if "{" not in path}
    assert paths <= shown


def test_every_problem_has_its_cause_and_its_cure(reference: Page) -> None:
    text = reference.locator("#problems").inner_text()
    for code, problem in PROBLEMS.items():
        for part in (code, problem.title, problem.detail.replace("`", "")):
            assert part in text, code


def test_a_problems_type_leads_to_its_row(page: Page, service: str) -> None:
    """`type` of a problem is /docs#CODE."""
    page.goto(f"{service}docs#several_digits")
    row = page.locator("#several_digits")
    expect(row).to_be_in_viewport()
    assert page.evaluate("document.querySelector(':target')?.id") == "several_digits"


def test_a_key_is_sent_with_what_is_tried(browser: Browser, keyed_service: str) -> None:
    context = browser.new_context()
    page = context.new_page()
    page.goto(f"{keyed_service}docs")
    button = page.get_by_role("button", name="Try it: POST /predict, application/json: grey levels")
    result = page.locator("#predict .form", has=button).locator("output")
    button.click()
    expect(result).to_contain_text("401 after")
    page.fill("#key", KEY)
    button.click()
    expect(result).to_contain_text("200 after")
    context.close()


def test_the_reference_fits_a_phone(browser: Browser, service: str) -> None:
    context = browser.new_context(viewport={"width": 390, "height": 844}, is_mobile=True)
    page = context.new_page()
    page.goto(f"{service}docs")
    expect(page.locator("#image_blank")).to_be_attached()
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_in_the_reference(browser: Browser, service: str, scheme: str) -> None:
    context = browser.new_context(color_scheme=scheme, bypass_csp=True)  # type: ignore[arg-type]
    page = context.new_page()
    page.goto(f"{service}docs")
    expect(page.locator("#image_blank")).to_be_attached()
    page.get_by_role("button", name=re.compile("octet-stream")).first.click()
    expect(page.locator("output p.ok")).to_have_count(1)
    results = Axe().run(page)
    assert [(found["id"], found["nodes"][0]["html"]) for found in results.response["violations"]] == []
    context.close()
