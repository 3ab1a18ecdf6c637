"""Who can use the page: axe-core's rules, the keyboard, and fingers on a phone."""

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
    focused,
    give_all,
    press,
    resize,
    screenshot,
    shown,
)

pytestmark = [pytest.mark.integration, pytest.mark.chromium, NEEDED]

AXE = Path(__file__).parents[3] / ".ci" / "axe"
RUN = """
    const done = arguments[0];
    const told = ({ id, nodes }) => nodes.map((node) => `${id}: ${node.html}`);
    axe.run({ resultTypes: ["violations"] })
      .then(({ violations }) => done(violations.flatMap(told)), (error) => done([String(error)]));
"""
SMALL = """
    const touched = "button, select, summary, .drop input, .correct input, .ask input, a";
    return [...document.querySelectorAll(touched)]
      .filter((one) => one.checkVisibility() && one.getBoundingClientRect().height < 40)
      .map((one) => one.outerHTML);
"""
"""What is too low for a finger."""


@pytest.fixture(scope="session")
def axe() -> str:
    """axe-core as its lock says, installed when it is not there."""
    lock, installed = AXE / "package-lock.json", AXE / "node_modules" / ".installed"
    if not installed.is_file() or installed.read_bytes() != lock.read_bytes():
        if shutil.which("npm") is None:
            pytest.skip("npm is not there to install axe-core")
        flags = ["--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
        subprocess.run(["npm", "ci", "--prefix", str(AXE), *flags], check=True)
        installed.write_bytes(lock.read_bytes())
    return (AXE / "node_modules" / "axe-core" / "axe.min.js").read_text()


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_no_barrier(
    browser: webdriver.Chrome, page_url: str, files: list[Path], axe: str, scheme: str, width: int
) -> None:
    """Neither on the empty page, nor with tiles, an open image, evidence, an error or the key."""
    _prefer(browser, scheme)
    look = _looker(browser, axe, scheme, width)
    resize(browser, width)
    browser.get(page_url)
    wait = WebDriverWait(browser, 30)
    wait.until(lambda _: shown(browser, '#model[data-state="ready"]'))
    browser.find_element(By.CSS_SELECTOR, "#about summary").click()
    look("empty")
    give_all(browser, page_url, files, width=width)
    look("tiles")
    tiles = browser.find_elements(By.CSS_SELECTOR, ".tile")
    tiles[0].click()
    look("error")
    press(browser, Keys.ARROW_RIGHT)
    look("review")
    press(browser, Keys.ARROW_RIGHT, "e", "2")
    wait.until(lambda _: "Orange" in shown(browser, "#aid")[0])
    look("evidence")
    browser.execute_script("document.getElementById('key-dialog').showModal()")
    look("key")
    give_all(browser, page_url, files[:1], width=width)
    look("one")


def _prefer(browser: webdriver.Chrome, scheme: str) -> None:
    """A colour scheme, and no motion, which would be looked at half-way."""
    wishes = {"prefers-color-scheme": scheme, "prefers-reduced-motion": "reduce"}
    features = [{"name": name, "value": value} for name, value in wishes.items()]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})


def _looker(browser: webdriver.Chrome, axe: str, scheme: str, width: int) -> Callable[[str], None]:
    """Keeps a picture of a state and holds axe's rules, the width and, on a phone, touch to it."""

    def look(state: str) -> None:
        screenshot(browser, f"axe-{state}-{scheme}", width)
        resize(browser, width)
        browser.execute_script(axe)
        assert browser.execute_async_script(RUN) == [], state
        wide = "return document.documentElement.scrollWidth"
        assert browser.execute_script(wide) == width, state
        if width == 390:
            assert browser.execute_script(SMALL) == [], state

    return look


def test_the_keyboard_reaches_everything(
    browser: webdriver.Chrome, page_url: str, files: list[Path]
) -> None:
    """Tab visits each control once in the order of the page, all tiles being one stop."""
    give_all(browser, page_url, files)
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


def test_clear_is_a_key_away(browser: webdriver.Chrome, page_url: str, files: list[Path]) -> None:
    """Enter on Clear takes all images away and leads back to the files."""
    give_all(browser, page_url, files[:2])
    browser.execute_script("document.getElementById('clear').focus()")
    press(browser, Keys.ENTER)
    assert shown(browser, ".tile") == []
    assert focused(browser) == "files"


def _outlined(browser: webdriver.Chrome) -> bool:
    """Whether one sees what has the focus; the file field lies unseen over its frame."""
    script = """
        const seen = document.activeElement.closest("#files") ? "#drop" : ":focus";
        return getComputedStyle(document.querySelector(seen)).outlineStyle;
    """
    return bool(browser.execute_script(script) != "none")
