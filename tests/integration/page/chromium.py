"""Headless Chromium for tests of pages, with screenshots."""

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
from selenium import webdriver
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.support.wait import WebDriverWait

ARTIFACTS = Path(__file__).parents[3] / "artifacts"
FLAGS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--hide-scrollbars",
)  # fmt: skip
NEEDED = pytest.mark.skipif(
    shutil.which("chromium") is None or shutil.which("chromedriver") is None,
    reason="chromium and chromedriver are not installed",
)


@contextmanager
def chromium() -> Iterator[webdriver.Chrome]:
    """A Chromium that records its console."""
    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium") or ""
    for flag in FLAGS:
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    service = webdriver.ChromeService(shutil.which("chromedriver"))
    driver = webdriver.Chrome(options=options, service=service)
    try:
        yield driver
    finally:
        driver.quit()


def resize(browser: webdriver.Chrome, width: int, height: int = 900) -> None:
    """Set the viewport; a narrow one emulates a phone."""
    size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)


def shown(browser: webdriver.Chrome, selector: str) -> list[str]:
    """Text of each element that matches a selector."""
    return [found.text for found in browser.find_elements(By.CSS_SELECTOR, selector)]


def screenshot(browser: webdriver.Chrome, name: str, width: int) -> None:
    """The whole page as `artifacts/<name>-<width>.png`."""
    ARTIFACTS.mkdir(exist_ok=True)
    height = browser.execute_script("return document.documentElement.scrollHeight")
    resize(browser, width, height)
    browser.save_screenshot(str(ARTIFACTS / f"{name}-{width}.png"))


def choose_files(
    browser: webdriver.Chrome, url: str, paths: Sequence[Path], *, width: int = 1280
) -> WebDriverWait[webdriver.Chrome]:
    """Open the page and choose files; returns a wait object."""
    resize(browser, width)
    browser.get(url)
    wait = WebDriverWait(browser, 30)
    wait.until(lambda _: shown(browser, '#model[data-state="ready"]'))
    browser.find_element(By.ID, "files").send_keys("\n".join(map(str, paths)))
    return wait


def classify_files(
    browser: webdriver.Chrome, url: str, paths: Sequence[Path], *, width: int = 1280
) -> WebDriverWait[webdriver.Chrome]:
    """The same, and wait until all images are done."""
    wait = choose_files(browser, url, paths, width=width)
    wait.until(lambda _: " · " in shown(browser, "#tally")[0])
    return wait


def before_the_page(browser: webdriver.Chrome, script: str) -> None:
    """Run a script in the page before its own scripts."""
    browser.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": script})


def until(browser: webdriver.Chrome, selector: str, text: str) -> None:
    """Wait until the element of a selector starts with a text."""
    WebDriverWait(browser, 30).until(lambda _: shown(browser, selector)[0].startswith(text))


def press(browser: webdriver.Chrome, *keys: str) -> None:
    """Press keys in the focused element."""
    ActionChains(browser).send_keys(*keys).perform()


def focused(browser: webdriver.Chrome) -> str:
    """Id of the focused element, else its text."""
    element = browser.switch_to.active_element
    return element.get_attribute("id") or element.text


def violations(browser: webdriver.Chrome) -> list[str]:
    """Violations of the content security policy in the console."""
    log = browser.get_log("browser")  # type: ignore[no-untyped-call]
    return [entry["message"] for entry in log if "Content Security" in entry["message"]]
