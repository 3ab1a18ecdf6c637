"""Accessibility of the page: axe-core's rules, keyboard, touch targets."""

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.wait import WebDriverWait

from tests.integration.page.chromium import (
    NEEDED,
    classify_files,
    focused,
    press,
    resize,
    screenshot,
    shown,
)

pytestmark = [pytest.mark.integration, pytest.mark.chromium, NEEDED]

AXE = Path(__file__).parents[3] / ".ci" / "axe"
RUN = """
    const done = arguments[0];
    const lines = ({ id, nodes }) => nodes.map((node) => `${id}: ${node.html}`);
    axe.run({ resultTypes: ["violations"] })
      .then(({ violations }) => done(violations.flatMap(lines)), (error) => done([String(error)]));
"""
SMALL = """
    const touched = "button, select, summary, .drop input, .correct input, .ask input, a";
    return [...document.querySelectorAll(touched)]
      .filter((one) => one.checkVisibility() && one.getBoundingClientRect().height < 40)
      .map((one) => one.outerHTML);
"""
"""Touch targets lower than 40 pixels."""


@pytest.fixture(scope="session")
def axe() -> str:
    """axe-core in the version of its lock file; installed if missing."""
    lock, installed = AXE / "package-lock.json", AXE / "node_modules" / ".installed"
    if not installed.is_file() or installed.read_bytes() != lock.read_bytes():
        if shutil.which("npm") is None:
            pytest.skip("npm is not installed, so axe-core cannot be installed")
        flags = ["--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
        subprocess.run(["npm", "ci", "--prefix", str(AXE), *flags], check=True)
        installed.write_bytes(lock.read_bytes())
    return (AXE / "node_modules" / "axe-core" / "axe.min.js").read_text()


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_no_violation(
    browser: webdriver.Chrome, page_url: str, files: list[Path], axe: str, scheme: str, width: int
) -> None:
    """On the empty page, with tiles, detail view, evidence map, error and key dialog."""
    _prefer(browser, scheme)
    check = _checker(browser, axe, scheme, width)
    resize(browser, width)
    browser.get(page_url)
    wait = WebDriverWait(browser, 30)
    wait.until(lambda _: shown(browser, '#model[data-state="ready"]'))
    browser.find_element(By.CSS_SELECTOR, "#about summary").click()
    check("empty")
    classify_files(browser, page_url, files, width=width)
    check("tiles")
    tiles = browser.find_elements(By.CSS_SELECTOR, ".tile")
    tiles[0].click()
    check("error")
    press(browser, Keys.ARROW_RIGHT)
    check("review")
    press(browser, Keys.ARROW_RIGHT, "e", "2")
    wait.until(lambda _: "Orange" in shown(browser, "#aid")[0])
    check("evidence")
    browser.execute_script("document.getElementById('key-dialog').showModal()")
    check("key")
    classify_files(browser, page_url, files[:1], width=width)
    check("one")


def _prefer(browser: webdriver.Chrome, scheme: str) -> None:
    """Set the colour scheme; without animations, which a test could see half-way."""
    values = {"prefers-color-scheme": scheme, "prefers-reduced-motion": "reduce"}
    features = [{"name": name, "value": value} for name, value in values.items()]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})


def _checker(browser: webdriver.Chrome, axe: str, scheme: str, width: int) -> Callable[[str], None]:
    """A check of a state: screenshot, axe's rules, page width and, on a phone, touch targets."""

    def check(state: str) -> None:
        screenshot(browser, f"axe-{state}-{scheme}", width)
        resize(browser, width)
        browser.execute_script(axe)
        assert browser.execute_async_script(RUN) == [], state
        wide = "return document.documentElement.scrollWidth"
        assert browser.execute_script(wide) == width, state
        if width == 390:
            assert browser.execute_script(SMALL) == [], state

    return check


def test_the_keyboard_reaches_everything(
    browser: webdriver.Chrome, page_url: str, files: list[Path]
) -> None:
    """Tab visits each control once, in page order; all tiles are one tab stop."""
    classify_files(browser, page_url, files)
    browser.execute_script("document.querySelector('.brand').focus()")
    visited = []
    for _ in range(9):
        press(browser, Keys.TAB)
        visited.append(focused(browser))
        assert _outlined(browser), visited[-1]
    controls = ["files", "choose-folder", "clear", "export", "order", "decision", "class"]
    assert visited[:7] == controls
    assert "broken.png" in visited[7]
    assert visited[8] == "About this model"


def test_clear_removes_all_images(
    browser: webdriver.Chrome, page_url: str, files: list[Path]
) -> None:
    """Enter on Clear removes all images and moves the focus to the file field."""
    classify_files(browser, page_url, files[:2])
    browser.execute_script("document.getElementById('clear').focus()")
    press(browser, Keys.ENTER)
    assert shown(browser, ".tile") == []
    assert focused(browser) == "files"


def _outlined(browser: webdriver.Chrome) -> bool:
    """Whether the focus is visible; the file field is invisible, its frame has the outline."""
    script = """
        const seen = document.activeElement.closest("#files") ? "#drop" : ":focus";
        return getComputedStyle(document.querySelector(seen)).outlineStyle;
    """
    return bool(browser.execute_script(script) != "none")
