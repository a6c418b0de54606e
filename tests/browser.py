"""A real browser that looks at pages as people do: at their widths, in light and dark."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, sync_playwright

WIDTHS = (390, 768, 1440)  # pixels: a phone, a tablet, a laptop
SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
NAMES = ("chromium", "chromium-browser", "google-chrome")
# As root in a container there is no sandbox; the rest keeps Chromium from looking for updates.
OPTIONS = [
    *("--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-component-update"),
    *("--disable-background-networking", "--disable-sync", "--disable-quic"),
]
# What sticks out of the window to the right, but for what can be scrolled into it.
CUT_OFF = """() => [...document.querySelectorAll("body *")].filter(part =>
    !part.parentElement.closest(".wide, svg") && part.tagName !== "SCRIPT"
    && part.getBoundingClientRect().right > innerWidth + 1
).map(part => part.tagName + " " + part.textContent.slice(0, 40))"""
# Texts of pictures that are not whole within them.
CUT_IN_PICTURES = """() => [...document.querySelectorAll("svg text")].filter(text => {
    const own = text.getBoundingClientRect();
    const whole = text.ownerSVGElement.getBoundingClientRect();
    return own.right > whole.right + 2 || own.left < whole.left - 2
        || own.bottom > whole.bottom + 2 || own.top < whole.top - 2;
}).map(text => text.textContent.trim())"""


@dataclass(frozen=True)
class Visitor:
    """Opens pages; notes errors, and what was asked of other machines."""

    page: Page
    errors: list[str]
    asked: list[str]

    def open(self, address: str, width: int) -> None:
        self.page.set_viewport_size({"width": width, "height": 900})
        self.page.goto(address)

    def look(self, path: Path) -> None:
        """Open a page of ours, and look at it in every way."""
        self.page.goto(path.as_uri())
        self.page.evaluate("document.querySelectorAll('details').forEach(each => each.open = true)")
        self.examine()

    def examine(self) -> None:
        """Look at the open page in every way, and check that nobody is left out."""
        for width in WIDTHS:
            self.page.set_viewport_size({"width": width, "height": 900})
            assert self.page.evaluate(CUT_OFF) == [], width
            assert self.page.evaluate(CUT_IN_PICTURES) == [], width
        self.page.set_viewport_size({"width": WIDTHS[0], "height": 900})
        for scheme in SCHEMES:
            self.page.emulate_media(color_scheme=scheme)
            assert serious(self.page) == [], scheme
        assert self.errors == []
        assert self.asked == []


def serious(page: Page) -> list[str]:
    """What axe-core finds that keeps people from reading a page."""
    found = Axe().run(page).response["violations"]
    return [
        f"{each['id']}: {node['html'][:200]}"
        for each in found
        if each["impact"] in ("serious", "critical")
        for node in each["nodes"]
    ]


@contextmanager
def visitor() -> Iterator[Visitor]:
    """For as long as the block lasts. Skips, or fails where CI=true, without a browser."""
    program = next(filter(None, map(shutil.which, NAMES)), None)
    if not program:
        reason = f"none of {', '.join(NAMES)} is installed (Debian's package is called chromium)"
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(reason)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=OPTIONS)
        yield _watched(browser)
        browser.close()


def _watched(browser: Browser) -> Visitor:
    page = browser.new_page()
    made = Visitor(page, [], [])
    page.on(
        "console",
        lambda said: made.errors.append(said.text) if said.type == "error" else None,
    )
    page.on("pageerror", lambda error: made.errors.append(str(error)))
    page.on(
        "request",
        lambda request: made.asked.append(request.url) if _is_outside(request.url) else None,
    )
    return made


def _is_outside(address: str) -> bool:
    return not address.startswith(("file:", "data:", "blob:", "http://127.0.0.1"))
