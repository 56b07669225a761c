"""The page in a browser without a network: cells turn, controls act, files are handed out, nothing complains."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from gflownet_crystal.report.page import write_report
from tests.report.runs import write_run
from tests.report.test_page import material_of

sync_api = pytest.importorskip("playwright.sync_api")
BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
FLAGS = ("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
         "--disable-component-update", "--disable-sync")  # fmt: skip

pytestmark = pytest.mark.skipif(BROWSER is None, reason="no Chromium is installed")


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    made = write_run(tmp_path_factory.mktemp("made") / "run")
    write_report(material_of(made), made / "report.html")
    return made


@pytest.fixture(scope="module")
def browser() -> Iterator:
    # a profile of its own is made and removed by playwright
    with sync_api.sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=BROWSER, args=list(FLAGS))
        yield opened
        opened.close()


class Opened:
    """A page that has been opened, with what it complained of and asked for."""

    def __init__(self, browser, folder: Path, **settings) -> None:
        self.context = browser.new_context(offline=True, accept_downloads=True, **settings)
        self.page = self.context.new_page()
        self.complaints: list[str] = []
        self.requests: list[str] = []
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.goto((folder / "report.html").as_uri())
        self.card = self.page.locator("#candidate-1")
        self.canvas = self.card.locator("canvas")

    def picture(self) -> str:
        """Contents of the first cell."""
        self.canvas.scroll_into_view_if_needed()
        self.page.wait_for_timeout(60)
        return self.canvas.evaluate("canvas => canvas.toDataURL()")

    def press(self, act: str) -> None:
        """Press a control of the first card."""
        self.card.locator(f"button[data-act={act}]").click()


@pytest.fixture
def opened(browser, folder) -> Iterator[Opened]:
    made = Opened(browser, folder, viewport={"width": 1280, "height": 900})
    yield made
    assert made.complaints == []
    assert [url for url in made.requests if not url.startswith(("file:", "data:"))] == []
    made.context.close()


def drag(opened: Opened, dx: float, dy: float) -> None:
    box = opened.canvas.bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    opened.page.mouse.move(x, y)
    opened.page.mouse.down()
    opened.page.mouse.move(x + dx, y + dy, steps=4)
    opened.page.mouse.up()


def test_a_drag_turns_the_cell_and_reset_turns_it_back(opened):
    first = opened.picture()
    drag(opened, 60, 25)
    assert opened.picture() != first
    opened.press("reset")
    assert opened.picture() == first


def test_a_cell_is_more_than_an_empty_canvas(opened):
    opened.picture()
    n_colours = opened.canvas.evaluate(
        """canvas => {
            const d = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;
            const found = new Set();
            for (let k = 0; k < d.length; k += 4) if (d[k + 3] === 255) found.add(`${d[k]} ${d[k + 1]} ${d[k + 2]}`);
            return found.size;
        }"""
    )
    assert n_colours > 100


def test_controls_and_keys_change_the_view(opened):
    seen = [opened.picture()]
    for act in ("a", "c", "repeat"):
        opened.press(act)
        seen.append(opened.picture())
    opened.canvas.focus()
    for key in ("ArrowLeft", "ArrowUp", "+"):
        opened.page.keyboard.press(key)
        seen.append(opened.picture())
    assert len(set(seen)) == len(seen)
    assert opened.card.locator("button[data-act=repeat]").get_attribute("aria-pressed") == "true"


def test_the_wheel_zooms_only_a_cell_that_was_touched(opened):
    first = opened.picture()
    opened.canvas.hover()
    opened.page.mouse.wheel(0, 120)
    assert opened.picture() == first
    opened.canvas.click()
    opened.page.mouse.wheel(0, -120)
    assert opened.picture() != first


def test_the_scene_is_the_crystal(opened):
    """Rock salt: 27 atoms on and in the cell with 54 contacts, 125 and 300 in 2 x 2 x 2 cells; a towards the eye."""
    found = opened.page.evaluate(
        """() => {
            const data = JSON.parse(document.getElementById('crystals').textContent);
            const viewer = new CellViewer(document.createElement('canvas'), data.crystals[0].placed, data.styles);
            const one = [viewer.balls.length, viewer.bonds.length, viewer.edges.length];
            viewer.setRepeat(2);
            viewer.lookAlong(0);
            const a = data.crystals[0].placed.cell[0];
            return [one, [viewer.balls.length, viewer.bonds.length], apply(viewer.turn, a)];
        }"""
    )
    assert found[0] == [27, 54, 12]
    assert found[1] == [125, 300]
    assert found[2] == pytest.approx([0, 0, 5.64], abs=1e-3)


def test_the_relaxed_cell_can_be_shown(opened):
    opened.press("relaxed")
    button = opened.card.locator("button[data-act=relaxed]")
    assert button.get_attribute("aria-pressed") == "true"
    assert opened.page.locator("#candidate-6 button[data-act=relaxed]").count() == 0


def test_elements_choose_candidates_and_sorting_orders_them(opened):
    page = opened.page
    cards = page.locator(".card:visible")
    assert cards.count() == 6
    page.locator("button[data-symbol=Cl]").click()
    assert {card.get_attribute("id") for card in cards.all()} == {"candidate-1", "candidate-5"}
    assert page.locator("#tally").inner_text() == "2 of 2 candidates with Cl"
    page.locator("button[data-symbol=Cs]").click()
    assert [card.get_attribute("id") for card in cards.all()] == ["candidate-5"]
    page.locator("#clear").click()
    page.locator("#sort").select_option("atoms")
    sizes = [int(card.get_attribute("data-atoms")) for card in cards.all()]
    assert sizes == sorted(sizes) and len(sizes) == 6


def test_files_are_handed_out_without_a_network(opened, folder):
    name = "001_NaCl.cif"
    with opened.page.expect_download() as waiting:
        opened.card.get_by_role("link", name="CIF", exact=True).click()
    assert waiting.value.suggested_filename == name
    assert Path(waiting.value.path()).read_bytes() == (folder / "candidates" / name).read_bytes()


def test_a_finger_turns_the_cell_on_a_phone(browser, folder):
    opened = Opened(browser, folder, viewport={"width": 380, "height": 800}, has_touch=True, is_mobile=True)
    assert opened.page.evaluate("document.documentElement.scrollWidth") <= 380
    first = opened.picture()
    box = opened.canvas.bounding_box()
    session = opened.context.new_cdp_session(opened.page)
    x, y = box["x"] + 150, box["y"] + 100
    for kind, shift in (("touchStart", 0), ("touchMove", 30), ("touchMove", 60), ("touchEnd", None)):
        points = [] if shift is None else [{"x": x + shift, "y": y}]
        session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
    assert opened.picture() != first
    assert opened.complaints == []
    opened.context.close()


def test_a_finger_that_scrolls_over_a_cell_does_not_take_it(browser, folder):
    """Only a cell that was tapped or turned keeps fingers to itself; the page scrolls over the others."""
    opened = Opened(browser, folder, viewport={"width": 380, "height": 800}, has_touch=True, is_mobile=True)
    opened.picture()
    session = opened.context.new_cdp_session(opened.page)
    for _ in range(2):
        before = opened.page.evaluate("scrollY")
        box = opened.canvas.bounding_box()
        x, y = box["x"] + 150, box["y"] + box["height"] / 2
        for kind, shift in (
            ("touchStart", 0),
            *(("touchMove", -20 * k) for k in (1, 2, 3, 4)),
            ("touchEnd", None),
        ):
            points = [] if shift is None else [{"x": x, "y": y + shift}]
            session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
            opened.page.wait_for_timeout(30)
        opened.page.wait_for_timeout(200)
        assert opened.page.evaluate("scrollY") > before + 20
        assert opened.canvas.evaluate("canvas => canvas.style.touchAction") == "pan-y"
    opened.canvas.tap()
    assert opened.canvas.evaluate("canvas => canvas.style.touchAction") == "none"
    opened.context.close()


def test_paper_shows_every_column(opened):
    """At the width of A4 less its margins, nothing that scrolls on a screen is cut off."""
    opened.page.set_viewport_size({"width": 703, "height": 1000})
    opened.page.emulate_media(media="print")
    opened.page.evaluate("dispatchEvent(new Event('beforeprint'))")
    widths = opened.page.evaluate("""() => [...document.querySelectorAll('table, svg, pre')]
        .map((one) => [one.tagName, one.getBoundingClientRect().right])""")
    assert widths and max(right for _, right in widths) <= 703, widths
    assert opened.page.evaluate("document.documentElement.scrollWidth") <= 703


def test_print_leaves_out_what_paper_cannot_do(opened):
    opened.page.emulate_media(media="print")
    assert not opened.page.locator("nav").is_visible()
    assert not opened.page.locator("#sort").is_visible()
    assert opened.page.locator("#candidate-1").is_visible()
    table = opened.page.locator("#candidates details table")
    assert not table.is_visible()
    opened.page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert table.is_visible()
    assert opened.page.pdf().startswith(b"%PDF")
