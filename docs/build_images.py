"""Pictures of the report for README and docs: ``python docs/build_images.py run=DIR`` writes them to ``docs/images``.

The report of the run is made again in a temporary folder; further words (``reference=FILE``) go to the verb ``report``.
Needs Chromium and the extra ``browser``.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from io import BytesIO
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright

from gflownet_crystal.cli.main import main as gflownet_crystal

IMAGES = Path(__file__).with_name("images")
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
DESK, CARDS, PHONE = (1180, 2600), (1160, 530), (420, 950)
"""Widths and heights in pixels of the page on a desk, of its first cards, and of each of three views on a phone."""

_PHONE_SCALE = 1.4
_GAP, _GREY = 20, (139, 146, 156)
_DRAWN = 1500
"""Milliseconds within which the cells in view are drawn."""


def on_a_desk(browser: Browser, page_url: str) -> dict[str, Image.Image]:
    """The top of the page, and its first three cards."""
    page = browser.new_page(viewport={"width": DESK[0], "height": DESK[1]})
    page.goto(page_url)
    page.wait_for_timeout(_DRAWN)
    top = _picture(page)
    page.locator("#candidate-1").evaluate("card => window.scrollTo(0, card.offsetTop - 100)")
    page.wait_for_timeout(_DRAWN)
    box = page.locator("#cards").bounding_box()
    if box is None:
        raise SystemExit("the report shows no candidates; give a run that has some")
    x, y = (DESK[0] - CARDS[0]) // 2, int(box["y"]) - 15
    cards = _picture(page).crop((x, y, x + CARDS[0], y + CARDS[1]))
    return {"report_desktop": top, "report_cards": cards}


def on_a_phone(browser: Browser, page_url: str) -> Image.Image:
    """The first screen, the verdicts and the second card, side by side."""
    page = browser.new_page(
        viewport={"width": PHONE[0], "height": PHONE[1]}, device_scale_factor=_PHONE_SCALE, is_mobile=True
    )
    page.goto(page_url)
    views = []
    for target in ("h1", "#short h3", "#candidate-2"):
        page.locator(target).first.evaluate(
            "part => window.scrollTo(0, part.getBoundingClientRect().top + window.scrollY - 60)"
        )
        page.wait_for_timeout(_DRAWN)
        views.append(_picture(page))
    width, height = views[0].size
    side_by_side = Image.new("RGB", (len(views) * (width + _GAP) - _GAP, height), _GREY)
    for place, view in enumerate(views):
        side_by_side.paste(view, (place * (width + _GAP), 0))
    return side_by_side


def _picture(page: Page) -> Image.Image:
    return Image.open(BytesIO(page.screenshot())).convert("RGB")


def main(words: list[str]) -> None:
    """Write the pictures."""
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        raise SystemExit(f"no browser is installed; install one of {', '.join(BROWSERS)}")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "report.html")
        if status := gflownet_crystal(["report", *words, f"out={path}"]):
            raise SystemExit(status)
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(
                executable_path=found, args=["--no-sandbox", "--disable-gpu"]
            )
            pictures = on_a_desk(browser, path.as_uri())
            pictures["report_phone"] = on_a_phone(browser, path.as_uri())
            browser.close()
    for name, picture in pictures.items():
        picture.quantize(256).save(IMAGES / f"{name}.png", optimize=True)
        print(IMAGES / f"{name}.png", *picture.size)


if __name__ == "__main__":
    main(sys.argv[1:])
