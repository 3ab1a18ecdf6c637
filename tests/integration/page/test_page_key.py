"""The page of a service that requires an API key, in headless Chromium."""

import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.wait import WebDriverWait

from pipeline.adapters.api_key_file import add
from tests.integration.page.chromium import NEEDED, focused, press, resize, screenshot, shown, until

pytestmark = [pytest.mark.integration, pytest.mark.chromium, NEEDED]


@pytest.fixture(scope="module")
def locked(
    tmp_path_factory: pytest.TempPathFactory,
    make_stage: Callable[..., Any],
    serve: Callable[..., AbstractContextManager[str]],
) -> Iterator[tuple[str, str]]:
    """URL of a service that requires a key, and a valid key."""
    folder = tmp_path_factory.mktemp("locked")
    stage = make_stage(folder / "store", "demo")
    stage.point_to(stage.publish(folder / "built"))
    key = add(folder / "keys.json", "lab-1")
    with serve(
        folder, stage.root, MODEL_NAME="demo", API_KEYS_FILE=str(folder / "keys.json")
    ) as url:
        yield url, key


def test_the_page_asks_for_a_required_key(
    browser: webdriver.Chrome, locked: tuple[str, str], files: list[Path]
) -> None:
    """It asks again after a rejected key; with a valid one the waiting images are sent."""
    url, key = locked
    resize(browser, 390)
    browser.get(url)
    wait = WebDriverWait(browser, 30)
    wait.until(lambda _: focused(browser) == "key")
    press(browser, Keys.ESCAPE)
    wait.until(lambda _: shown(browser, "#model-text") == ["An API key is required"])
    browser.find_element(By.ID, "files").send_keys("\n".join(map(str, files[:2])))
    wait.until(lambda _: focused(browser) == "key")
    assert shown(browser, "#key-form label") == ["API key"]
    press(browser, "wrong", Keys.ENTER)
    wait.until(lambda _: shown(browser, "#key-refused") == ["The key was rejected."])
    screenshot(browser, "page-key", 390)
    press(browser, key, Keys.ENTER)
    until(browser, "#tally", "2 images · 2 accepted")
    assert shown(browser, "#model-text")[0].startswith("demo:")
    kept = browser.execute_script("return [{...sessionStorage}, {...localStorage}]")
    assert key in json.dumps(kept[0])
    assert key not in json.dumps(kept[1])


def test_without_a_key_nothing_is_sent(
    browser: webdriver.Chrome, locked: tuple[str, str], files: list[Path]
) -> None:
    """The dialog appears once, not for every image, and sending can be resumed."""
    url, _ = locked
    browser.get(url)
    wait = WebDriverWait(browser, 30)
    wait.until(lambda _: focused(browser) == "key")
    browser.find_element(By.ID, "key-cancel").click()
    browser.find_element(By.ID, "files").send_keys("\n".join(map(str, files)))
    wait.until(lambda _: focused(browser) == "key")
    browser.find_element(By.ID, "key-cancel").click()
    until(browser, "#tally", "4 images · 4 not sent")
    assert shown(browser, "#stop") == ["Resume"]
