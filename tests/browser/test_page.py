"""What a person does on the page: draw, choose, drop, paste; and what the page says when something fails."""

import base64
import json
import re
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, FilePayload, Page, Request, Response, Route, expect

from digits.corpus.handwriting import Writing
from tests.browser.conftest import KEY
from tests.browser.hand import a_digit, digits_of_judges, draw, on_field

STYLES, LEAST_READ = 5, 48  # of 10 * STYLES digits
ANSWER_MS, FIRST_PAINT_MS = 60, 300
SEVEN = Path(__file__).parents[2] / "docs" / "seven.png"
# Milliseconds from the end of each stroke to the next change of the answer.
WATCH = """() => {
  window.measured = []; let began = 0;
  const drawing = document.getElementById("drawing");
  drawing.addEventListener("pointerup", () => { began = performance.now(); }, true);
  new MutationObserver(() => { if (began) measured.push(performance.now() - began); began = 0; })
    .observe(document.getElementById("spoken"), {childList: true, characterData: true});
}"""

# Returns once what an answer changes is shown.
FRAME = "new Promise(done => requestAnimationFrame(() => setTimeout(done)))"
FIRST_PAINT = """() => new Promise(
  done => new PerformanceObserver(list => done(list.getEntries()[0].startTime))
  .observe({type: "paint", buffered: true}))"""
# Pixels of ink on the field.
INK = """() => {
  const drawing = document.getElementById("drawing"), side = drawing.width;
  const pixels = drawing.getContext("2d").getImageData(0, 0, side, side).data;
  let ink = 0;
  for (let i = 0; i < pixels.length; i += 4) ink += pixels[i + 3] > 200 && pixels[i] < 100;
  return ink;
}"""
# The backgrounds of an element and of what it stands on.
COLOURS = """selector => [document.querySelector(selector), document.querySelector(selector).parentNode]
  .map(element => getComputedStyle(element).backgroundColor).map(
    colour => colour === "rgba(0, 0, 0, 0)" ? getComputedStyle(document.body).backgroundColor : colour)"""
# Puts a picture in front of a camera, which sends it half a second after it was turned on.
CAMERA = """async source => {
  const canvas = document.createElement("canvas"), picture = new Image();
  picture.src = source; await picture.decode();
  canvas.width = 640; canvas.height = 480;
  navigator.mediaDevices.getUserMedia = async () => {
    const stream = canvas.captureStream(0);
    setTimeout(() => {
      canvas.getContext("2d").drawImage(picture, 80, 0, 480, 480);
      stream.getVideoTracks()[0].requestFrame();
    }, 500);
    return stream;
  };
}"""


def expect_digit(page: Page, label: int) -> None:
    expect(page.locator("#digit")).to_have_text(str(label))
    expect(page.locator("#sentence")).to_contain_text(str(label))


def give(page: Page, event: str, *paths: Path) -> None:
    """Drops or pastes files, as the browser tells the page of it."""
    files = [[path.name, base64.b64encode(path.read_bytes()).decode()] for path in paths]
    page.evaluate(
        """([event, files]) => {
          const data = new DataTransfer();
          for (const [name, text] of files)
            data.items.add(new File(
              [Uint8Array.from(atob(text), c => c.charCodeAt(0))], name, {type: "image/png"}));
          document.body.dispatchEvent(event === "drop"
            ? new DragEvent("drop", {dataTransfer: data, bubbles: true, cancelable: true})
            : new ClipboardEvent("paste", {clipboardData: data, bubbles: true, cancelable: true}));
        }""",
        [event, files],
    )


@pytest.mark.essential
def test_digits_that_people_draw_are_read(page: Page, figure: Callable[[str], None]) -> None:
    """Each digit by five writers; a stroke's answer is there within the promised time."""
    page.evaluate(WATCH)
    wrong: list[str] = []
    for writing in digits_of_judges(STYLES):
        page.locator("#drawing").press("Delete")
        with page.expect_response(lambda response: "predict" in response.url):
            draw(page, writing)
        page.wait_for_timeout(60)
        if (read := page.inner_text("#digit")) != writing.label:
            wrong.append(f"{writing.label} as {read}")
    times = page.evaluate("measured")
    median = statistics.median(times)
    figure(f"{50 - len(wrong)} of 50 digits; stroke end to answer, median of {len(times)}: {median:.0f} ms")
    assert len(wrong) <= 10 * STYLES - LEAST_READ, wrong
    assert median <= ANSWER_MS


def test_the_page_paints_at_once(page: Page, figure: Callable[[str], None]) -> None:
    times = []
    for _ in range(5):
        page.reload()
        times.append(page.evaluate(FIRST_PAINT))
    figure(f"first paint, median of 5: {statistics.median(times):.0f} ms")
    assert statistics.median(times) <= FIRST_PAINT_MS


def test_no_bar_is_filled_before_anything_is_drawn(page: Page) -> None:
    widths = page.evaluate(
        "[...document.querySelectorAll('#bars i')].map(bar => bar.getBoundingClientRect().width)"
    )
    assert widths == [0] * 10


def test_an_answer_shows_what_the_model_saw(page: Page) -> None:
    draw(page, a_digit(3))
    expect_digit(page, 3)
    expect(page.locator("#saw")).to_be_visible()
    facts = page.inner_text("#facts")
    for name in ("Queue", "Model", "Network", "Batch", "Version", "Replica"):
        assert name in facts
    greys = page.evaluate(
        "[...document.getElementById('seen').getContext('2d').getImageData(0, 0, 28, 28).data]"
    )
    assert 50 < sum(grey > 128 for grey in greys[::4]) < 300


def test_undo_takes_one_stroke_back_and_clear_all(page: Page) -> None:
    draw(page, a_digit(3))
    expect_digit(page, 3)
    page.click("#undo")
    expect(page.locator("#sentence")).to_have_text("Nothing to read yet")
    draw(page, a_digit(2))
    expect_digit(page, 2)
    page.click("#clear")
    expect(page.locator("#sentence")).to_have_text("Nothing to read yet")
    expect(page.locator("#saw")).to_be_hidden()


def test_the_pen_is_as_wide_as_chosen(page: Page) -> None:
    ink = []
    for width in (8, 40):
        page.locator("#width").fill(str(width))
        page.locator("#drawing").press("Delete")
        draw(page, a_digit(1))
        ink.append(page.evaluate(INK))
    assert ink[1] > 3 * ink[0] > 0


def test_a_picture_is_taken_by_the_camera(page: Page) -> None:
    """The camera is off again afterwards."""
    page.evaluate(CAMERA, f"data:image/png;base64,{base64.b64encode(SEVEN.read_bytes()).decode()}")
    page.click("#camera")
    page.click("#take")  # once there is a picture
    expect_digit(page, 7)
    expect(page.locator("#cam")).to_be_hidden()
    tracks = page.evaluate(
        "document.getElementById('video').srcObject.getTracks().map(one => one.readyState)"
    )
    assert tracks == ["ended"]


def test_a_camera_that_may_not_be_used_is_said(page: Page) -> None:
    page.evaluate("() => { navigator.mediaDevices.getUserMedia = async () => { throw new Error() } }")
    page.click("#camera")
    expect(page.locator("#sentence")).to_have_text("The camera cannot be used")


def test_a_chosen_picture_is_read(page: Page) -> None:
    page.set_input_files("#file", SEVEN)
    expect_digit(page, 7)


@pytest.mark.parametrize("event", ["drop", "paste"])
def test_a_dropped_or_pasted_picture_is_read(page: Page, event: str) -> None:
    give(page, event, SEVEN)
    expect_digit(page, 7)


def test_several_files_are_a_list(page: Page, tmp_path: Path) -> None:
    """A file that is no picture has its sentence in its place."""
    broken = tmp_path / "broken.png"
    broken.write_bytes(SEVEN.read_bytes()[:200])
    page.set_input_files("#file", [SEVEN, broken, SEVEN])
    rows = page.locator("#files li")
    expect(rows).to_have_count(3)
    expect(rows.nth(0)).to_contain_text(re.compile(r"7\s*seven.png: \d+\.\d %"))
    expect(rows.nth(1)).to_contain_text("cannot be decoded")
    expect(page.locator("#spoken")).to_have_text("2 of 3 pictures read")


def test_what_is_no_picture_shows_no_broken_icon(page: Page) -> None:
    other: FilePayload = {"name": "other.png", "mimeType": "image/png", "buffer": b"%PDF-1.4"}
    picture: FilePayload = {"name": "seven.png", "mimeType": "image/png", "buffer": SEVEN.read_bytes()}
    page.set_input_files("#file", [other, picture])
    rows = page.locator("#files li")
    expect(rows.nth(0)).to_contain_text("other.png: This image format is not supported")
    expect(rows.nth(0).locator("img")).to_be_hidden()
    expect(rows.nth(1).locator("img")).to_be_visible()


def test_a_file_that_cannot_be_read_is_said(page: Page, tmp_path: Path) -> None:
    """As a folder cannot: the service is not at fault, and a retry would not help."""
    lost = tmp_path / "lost.png"
    lost.write_bytes(SEVEN.read_bytes())
    page.evaluate(
        "document.body.append(Object.assign(document.createElement('input'), {type: 'file', id: 'kept'}))"
    )
    page.set_input_files("#kept", lost)
    lost.unlink()
    page.evaluate("open(document.getElementById('kept').files)")
    expect(page.locator("#sentence")).to_have_text("This file cannot be read")
    expect(page.locator("#retry")).to_be_hidden()


def test_an_empty_file_is_said(page: Page) -> None:
    """The problem's detail is for programs: it lists content types."""
    page.set_input_files("#file", {"name": "empty.png", "mimeType": "image/png", "buffer": b""})
    expect(page.locator("#sentence")).to_have_text("The image is empty")
    expect(page.locator("#detail")).to_have_text("The file has no content. Choose another.")


def test_files_that_are_left_out_are_said(page: Page) -> None:
    """At most 50, and pictures only."""
    text: FilePayload = {"name": "notes.txt", "mimeType": "text/plain", "buffer": b"7"}
    picture: FilePayload = {"name": "seven.png", "mimeType": "image/png", "buffer": SEVEN.read_bytes()}
    page.set_input_files("#file", [text, picture, picture])
    expect(page.locator("#list-title")).to_contain_text("2 of 3 files")
    page.set_input_files("#file", [picture] * 60)
    expect(page.locator("#list-title")).to_contain_text("50 of 60 files, at most 50")
    page.set_input_files("#file", [picture] * 2)
    expect(page.locator("#list-title")).to_have_text("Your pictures")


def test_a_newer_list_replaces_the_older(page: Page) -> None:
    """What comes late for the older one is not announced, also if its requests cannot be aborted."""
    page.evaluate("AbortController.prototype.abort = () => {}")
    gate = Gate(page)
    for count, held in ((3, 3), (2, 5)):
        page.set_input_files("#file", [SEVEN] * count)
        gate.wait_for(held)
    for route in reversed(gate.held):
        with page.expect_response(lambda response: "predict" in response.url):
            route.continue_()
    page.evaluate(FRAME)
    expect(page.locator("#spoken")).to_have_text("2 of 2 pictures read")


def test_pictures_of_a_list_are_sent_again(page: Page) -> None:
    """While the service is busy or restarts; one person's pictures may be more than it reads at once."""
    refusals = [
        (429, {"code": "overloaded", "title": "The service is overloaded"}),
        (503, {"code": "unavailable", "title": "No replica is available"}),
        (408, {"code": "body_too_slow", "title": "The request body arrived too slowly"}),
    ]

    def answer(route: Route) -> None:
        if refusals:
            status, problem = refusals.pop()
            route.fulfill(status=status, json=problem)
        else:
            route.continue_()

    page.route("**/predict*", answer)
    page.set_input_files("#file", [SEVEN] * 6)
    expect(page.locator("#spoken")).to_have_text("6 of 6 pictures read")


def test_a_list_ends_without_a_service(page: Page) -> None:
    """After PATIENCE_MS without an answer, by the page's clock."""
    page.clock.install()
    busy = {"code": "overloaded", "title": "The service is overloaded"}
    page.route("**/predict*", lambda route: route.fulfill(status=429, json=busy))
    page.set_input_files("#file", [SEVEN] * 2)
    for _ in range(40):
        page.clock.run_for(1000)
        page.wait_for_timeout(20)
    expect(page.locator("#spoken")).to_have_text("0 of 2 pictures read")
    expect(page.locator("#files li").nth(0)).to_contain_text("seven.png: The service is busy")


EXAMPLES = {
    "a photo": "This is a 6",
    "a scan": "This is a 2",
    "a blackboard": "This is a 3",
    "a drawing": "This is a 7",
    "several digits": "There are several digits here",
    "a letter": "This does not look like a digit",
}


def test_every_example_gets_its_sentence(page: Page) -> None:
    for name, sentence in EXAMPLES.items():
        page.get_by_role("button", name=name, exact=True).click()
        expect(page.locator("#sentence")).to_have_text(sentence)
    assert page.locator("#examples button").count() == len(EXAMPLES)
    # The browser gives no file of a picture that is dragged within a page.
    assert page.locator("#examples img[draggable=false]").count() == len(EXAMPLES)


def test_a_picture_without_a_digit_gets_the_best_guess(page: Page) -> None:
    """As the problem names it; the sentence of the detail is for people."""
    problem = {"code": "not_a_digit", "title": "No digit", "detail": "Not one", "guess": "9"}
    page.route("**/predict*", lambda route: route.fulfill(status=422, json=problem))
    page.get_by_role("button", name="a letter", exact=True).click()
    expect(page.locator("#spoken")).to_contain_text("The best guess is 9.")


class Gate:
    """Holds the page's requests to /predict while it is closed."""

    def __init__(self, page: Page) -> None:
        self.held: list[Route] = []
        self.is_closed = True
        self._page = page
        page.route("**/predict*", self._pass)

    def wait_for(self, requests: int) -> None:
        """Returns once so many are held; Playwright hands them over while it waits."""
        deadline = time.monotonic() + 10
        while len(self.held) < requests:
            assert time.monotonic() < deadline
            self._page.wait_for_timeout(10)

    def _pass(self, route: Route) -> None:
        if self.is_closed:
            self.held.append(route)
        else:
            route.continue_()


@pytest.mark.parametrize("next_", ["a drawing", "a picture"])
def test_an_older_request_is_aborted(page: Page, next_: str) -> None:
    """By the next drawing or picture; meanwhile the wait has a sign, which ends with it."""
    aborted: list[str | None] = []
    page.on("requestfailed", lambda request: aborted.append(request.failure))
    gate = Gate(page)
    draw(page, a_digit(3))
    expect(page.locator("#waiting")).to_be_visible()
    expect(page.locator("#spoken")).to_have_text("Waiting for the service")
    gate.is_closed = False
    if next_ == "a drawing":
        page.click("#clear")
        expect(page.locator("#waiting")).to_be_hidden()
        draw(page, a_digit(2))
        expect_digit(page, 2)
    else:
        give(page, "drop", SEVEN)
        expect_digit(page, 7)
    assert aborted == ["net::ERR_ABORTED"] * len(gate.held)
    expect(page.locator("#waiting")).to_be_hidden()


@pytest.mark.parametrize("late", ["an answer", "a failure"])
def test_the_newest_request_wins(page: Page, late: str) -> None:
    """What comes late for an older drawing is never shown, also if the older request cannot be aborted."""
    page.evaluate("AbortController.prototype.abort = () => {}")
    gate = Gate(page)
    draw(page, a_digit(3))
    expect(page.locator("#waiting")).to_be_visible()
    gate.is_closed = False
    page.click("#clear")
    draw(page, a_digit(2))
    expect_digit(page, 2)
    before = page.inner_text("#answer")
    explained = {"pixels": [[0] * 28] * 28, "model": {"name": "old", "version": "old"}}
    timing = dict.fromkeys(("queue_ms", "model_ms", "total_ms"), 1.5) | {"batch_size": 1, "replica": "old"}
    answer = explained | {
        "digit": 3,
        "label": "3",
        "confidence": 1,
        "probabilities": [0.1] * 10,
        "timing": timing,
    }
    problem = {"code": "internal", "title": "The service failed", "detail": "late"}
    for route in gate.held:
        with page.expect_response(lambda response: "predict" in response.url):
            status, body = (200, answer) if late == "an answer" else (500, problem)
            route.fulfill(status=status, content_type="application/json", body=json.dumps(body))
    page.evaluate(FRAME)
    assert page.inner_text("#answer") == before


def test_an_interrupted_network_is_said_and_retried(page: Page) -> None:
    draw(page, a_digit(2))
    expect_digit(page, 2)
    page.route("**/predict*", lambda route: route.abort())
    page.click("#clear")
    draw(page, a_digit(3))
    expect(page.locator("#sentence")).to_have_text("The service cannot be reached")
    expect(page.locator("#digit")).to_have_text("?")
    page.unroute("**/predict*")
    page.click("#retry")
    expect_digit(page, 3)


def test_a_page_that_was_offline_asks_again(page: Page) -> None:
    page.context.set_offline(True)
    draw(page, a_digit(3))
    expect(page.locator("#sentence")).to_have_text("You are offline")
    page.context.set_offline(False)
    expect_digit(page, 3)


@pytest.mark.parametrize(
    ("status", "body", "sentence"),
    [
        (429, {"code": "overloaded", "title": "-", "detail": "The queue is full"}, "The service is busy"),
        (
            503,
            {"code": "not_ready", "title": "No model is loaded yet", "detail": "-"},
            "No model is loaded yet",
        ),
        (
            408,
            {"code": "body_too_slow", "title": "-", "detail": "send it faster"},
            "The picture arrived too slowly",
        ),
        (502, "<html>", "The service failed"),
    ],
)
def test_a_failure_is_a_sentence_with_retry(page: Page, status: int, body: object, sentence: str) -> None:
    text = body if isinstance(body, str) else json.dumps(body)
    page.route("**/predict*", lambda route: route.fulfill(status=status, body=text))
    draw(page, a_digit(3))
    expect(page.locator("#sentence")).to_have_text(sentence)
    expect(page.locator("#retry")).to_be_visible()


def test_a_key_is_asked_for_and_used(browser: Browser, keyed_service: str) -> None:
    """A wrong key is named; a right one answers the drawing, and 200 at once stays disabled."""
    context = browser.new_context()
    page = context.new_page()
    page.goto(keyed_service)
    draw(page, a_digit(3))
    expect(page.locator("#sentence")).to_have_text("This service asks for an API key")
    page.fill("#key", "wrong")
    page.keyboard.press("Enter")
    expect(page.locator("#sentence")).to_have_text("This API key is not accepted")
    page.fill("#key", KEY)
    page.keyboard.press("Enter")
    expect_digit(page, 3)
    expect(page.locator("#burst")).to_be_disabled()
    expect(page.locator("#code")).to_contain_text("X-API-Key: $KEY")
    assert KEY not in page.inner_text("body")
    assert page.evaluate("localStorage.length") == 0
    context.close()


def test_pictures_that_needed_a_key_are_asked_again_with_it(browser: Browser, keyed_service: str) -> None:
    """A key that no header can hold is not taken."""
    context = browser.new_context()
    page = context.new_page()
    page.goto(keyed_service)
    page.set_input_files("#file", [SEVEN] * 2)
    expect(page.locator("#files li").first).to_contain_text("asks for an API key")
    page.fill("#key", "ключ")
    page.keyboard.press("Enter")
    expect(page.locator("#key:invalid")).to_be_visible()
    page.fill("#key", f" {KEY} ")
    page.keyboard.press("Enter")
    for row in page.locator("#files li").all():
        expect(row).to_contain_text(re.compile(r"7\s*seven.png: \d+"))
    expect(page.locator("#sentence")).to_have_text("Nothing to read yet")
    expect(page.locator("#spoken")).to_have_text("2 of 2 pictures read")
    context.close()


def test_a_digit_is_drawn_by_keyboard_alone(page: Page) -> None:
    """A 1: to the field by Tab, up, pen down, a line down, pen up; then undone."""
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.id") == "drawing"
    for _ in range(8):
        page.keyboard.press("ArrowUp")
    page.keyboard.press("Space")
    for _ in range(16):
        page.keyboard.press("ArrowDown")
    page.keyboard.press("Space")
    expect_digit(page, 1)
    expect(page.locator("#spoken")).to_have_text(re.compile(r"1, \d+ percent"))
    page.keyboard.press("u")
    expect(page.locator("#sentence")).to_have_text("Nothing to read yet")


def test_alt_and_an_arrow_are_left_to_the_browser(page: Page) -> None:
    """They go back in its history."""
    page.evaluate("() => { onkeydown = event => { window.taken = event.defaultPrevented } }")
    page.focus("#drawing")
    for keys, taken in (("Alt+ArrowUp", False), ("ArrowUp", True)):
        page.keyboard.press(keys)
        assert page.evaluate("() => window.taken") is taken


def test_a_burst_sends_200_pictures_and_ends(page: Page) -> None:
    """Five of the drawing in each of 40 requests, at most six at a time; requests share batches."""
    expect(page.locator("#burst")).to_be_disabled()
    draw(page, a_digit(3))
    expect_digit(page, 3)
    sent: list[Request] = []
    answers: list[Response] = []
    left, most = 0, 0

    def begin(request: Request) -> None:
        nonlocal left, most
        sent.append(request)
        left += 1
        most = max(most, left)

    def end(_: Request) -> None:
        nonlocal left
        left -= 1

    page.on("request", begin)
    page.on("requestfinished", end)
    page.on("response", lambda response: answers.append(response))
    page.click("#burst")
    expect(page.locator("#burst-help")).to_contain_text("200 pictures in 40 requests", timeout=20_000)
    assert [request.all_headers()["content-length"] for request in sent] == [str(5 * 784)] * 40
    assert 1 < most <= 6
    read = [answer.json() for answer in answers]
    assert [one["digit"] for answer in read for one in answer["predictions"]] == [3] * 200
    largest = max(answer["timing"]["batch_size"] for answer in read)
    assert largest > 5
    assert f"up to {largest} pictures" in page.inner_text("#burst-help")
    expect(page.locator("#burst")).to_be_enabled()
    expect(page.locator("#rate")).not_to_have_text("0")


def test_a_burst_stops_at_the_first_failure(page: Page) -> None:
    """A busy service is not asked again, and the page says why it stopped."""
    draw(page, a_digit(3))
    expect_digit(page, 3)
    asked: list[Route] = []
    busy = json.dumps({"code": "overloaded", "title": "-", "detail": "The queue is full"})

    def refuse(route: Route) -> None:
        asked.append(route)
        route.fulfill(status=429, content_type="application/json", body=busy)

    page.route("**/predict*", refuse)
    page.click("#burst")
    expect(page.locator("#burst-help")).to_contain_text("0 pictures")
    expect(page.locator("#burst-help")).to_contain_text("Stopped: The service is busy")
    assert len(asked) <= 6
    expect(page.locator("#burst")).to_be_enabled()


@pytest.mark.parametrize("name", ["a letter", "several digits"])
def test_a_refused_picture_shows_what_the_model_saw(page: Page, name: str) -> None:
    page.get_by_role("button", name=name, exact=True).click()
    expect(page.locator("#sentence")).to_have_text(EXAMPLES[name])
    expect(page.locator("#saw")).to_be_visible()
    greys = page.evaluate(
        "[...document.getElementById('seen').getContext('2d').getImageData(0, 0, 28, 28).data]"
    )
    assert sum(grey > 128 for grey in greys[::4]) > 20
    page.set_input_files("#file", SEVEN)
    expect_digit(page, 7)
    page.click("#clear")
    expect(page.locator("#saw")).to_be_hidden()


def test_code_is_shown_and_copied(page: Page) -> None:
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    for name, part in (("Python", "urllib"), ("JavaScript", "await fetch"), ("curl", "--data-binary")):
        page.get_by_role("button", name=name, exact=True).click()
        expect(page.locator("#code")).to_contain_text(part)
    page.click("#copy")
    expect(page.locator("#copy")).to_have_text("Copied")
    assert page.evaluate("navigator.clipboard.readText()") == page.inner_text("#code")


@pytest.fixture
def phone(browser: Browser, service: str) -> Page:
    context = browser.new_context(viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True)
    page = context.new_page()
    page.goto(service)
    return page


def test_a_finger_draws_on_a_phone(phone: Page) -> None:
    """Nothing is wider than the screen, the page does not scroll under the finger, the answer is seen."""
    assert phone.evaluate("document.documentElement.scrollWidth") == 390
    touch(phone, a_digit(3))
    expect_digit(phone, 3)
    assert phone.evaluate("scrollY") == 0
    box = phone.locator("#digit").bounding_box()
    assert box
    assert box["y"] + box["height"] <= 844
    phone.context.close()


@pytest.mark.parametrize("width", [320, 640, 740])
def test_the_whole_field_is_seen_on_a_low_screen(browser: Browser, service: str, width: int) -> None:
    """A small phone, a laptop at 200 %, a phone on its side: a finger on the field cannot scroll the page."""
    context = browser.new_context(viewport={"width": width, "height": 360}, has_touch=True, is_mobile=True)
    page = context.new_page()
    page.goto(service)
    box = page.locator("#drawing").bounding_box()
    assert box
    assert 200 <= box["height"] < 360
    assert page.evaluate("document.documentElement.scrollWidth") == width
    context.close()


def touch(page: Page, writing: Writing) -> None:
    session = page.context.new_cdp_session(page)
    for (x, y), *rest in on_field(page, writing.strokes):
        session.send("Input.dispatchTouchEvent", {"type": "touchStart", "touchPoints": [{"x": x, "y": y}]})
        for along, down in rest:
            points = [{"x": along, "y": down}]
            session.send("Input.dispatchTouchEvent", {"type": "touchMove", "touchPoints": points})
        session.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("state", ["empty", "answered", "failed", "keyed"])
def test_axe_finds_nothing(
    browser: Browser, service: str, keyed_service: str, scheme: str, state: str
) -> None:
    context = browser.new_context(color_scheme=scheme, reduced_motion="reduce", bypass_csp=True)  # type: ignore[arg-type]
    page = context.new_page()
    page.goto(keyed_service if state == "keyed" else service)
    if state == "failed":
        page.get_by_role("button", name="a letter", exact=True).click()
        expect(page.locator("#sentence")).to_have_text(EXAMPLES["a letter"])
    elif state != "empty":
        draw(page, a_digit(3))
        expect(page.locator("#sentence")).to_contain_text("3" if state == "answered" else "API key")
    results = Axe().run(page)
    assert [(found["id"], found["nodes"][0]["html"]) for found in results.response["violations"]] == []
    context.close()


def test_forced_colours_show_bars_and_what_is_chosen(page: Page) -> None:
    """Windows' contrast themes replace every background."""
    page.emulate_media(forced_colors="active")
    draw(page, a_digit(3))
    expect_digit(page, 3)
    for bar in ("#bars .best i", "#sizes i"):
        colours = page.evaluate(COLOURS, bar)
        assert len(set(colours)) == 2, bar
    borders = [
        page.evaluate(f"getComputedStyle(document.querySelector('[data-code={name}]')).borderWidth")
        for name in ("curl", "python")
    ]
    assert borders[0] != borders[1]


def test_without_scripts_the_page_says_so(browser: Browser, service: str) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(service)
    expect(page.get_by_text("This page needs JavaScript")).to_be_visible()
    context.close()


def test_motion_stops_where_it_is_not_wanted(page: Page) -> None:
    page.emulate_media(reduced_motion="reduce")
    assert page.evaluate("getComputedStyle(document.querySelector('#bars i')).transitionDuration") == "0s"
