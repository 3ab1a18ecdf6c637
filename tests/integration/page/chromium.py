"""A headless Chromium that looks at pages and keeps screenshots."""

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
    """A Chromium whose console is kept."""
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
    """Give the page this many pixels, as a phone's when they are few."""
    size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)


def shown(browser: webdriver.Chrome, selector: str) -> list[str]:
    """Text of each element that a selector finds."""
    return [found.text for found in browser.find_elements(By.CSS_SELECTOR, selector)]


def screenshot(browser: webdriver.Chrome, name: str, width: int) -> None:
    """The whole page as `artifacts/<name>-<width>.png`."""
    ARTIFACTS.mkdir(exist_ok=True)
    height = browser.execute_script("return document.documentElement.scrollHeight")
    resize(browser, width, height)
    browser.save_screenshot(str(ARTIFACTS / f"{name}-{width}.png"))


def give(
    browser: webdriver.Chrome, url: str, paths: Sequence[Path], *, width: int = 1280
) -> WebDriverWait[webdriver.Chrome]:
    """Open the service's page and give it these files; returns what waits."""
    resize(browser, width)
    browser.get(url)
    wait = WebDriverWait(browser, 30)
    wait.until(lambda _: shown(browser, '#model[data-state="ready"]'))
    browser.find_element(By.ID, "files").send_keys("\n".join(map(str, paths)))
    return wait


def give_all(
    browser: webdriver.Chrome, url: str, paths: Sequence[Path], *, width: int = 1280
) -> WebDriverWait[webdriver.Chrome]:
    """The same, and wait until all are answered and counted."""
    wait = give(browser, url, paths, width=width)
    wait.until(lambda _: " · " in shown(browser, "#tally")[0])
    return wait


def before_the_page(browser: webdriver.Chrome, script: str) -> None:
    """Run a script in the page before its own."""
    browser.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": script})


def until(browser: webdriver.Chrome, selector: str, text: str) -> None:
    """Wait until what a selector finds begins with a text."""
    WebDriverWait(browser, 30).until(lambda _: shown(browser, selector)[0].startswith(text))


def press(browser: webdriver.Chrome, *keys: str) -> None:
    """Press keys wherever the focus is."""
    ActionChains(browser).send_keys(*keys).perform()


def focused(browser: webdriver.Chrome) -> str:
    """Id of what has the focus, else its text."""
    element = browser.switch_to.active_element
    return element.get_attribute("id") or element.text


def violations(browser: webdriver.Chrome) -> list[str]:
    """What the console says against the content security policy."""
    log = browser.get_log("browser")  # type: ignore[no-untyped-call]
    return [entry["message"] for entry in log if "Content Security" in entry["message"]]
