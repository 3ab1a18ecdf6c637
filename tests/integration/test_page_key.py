"""The page of a service that asks for an API key, in headless Chromium."""

import json
from pathlib import Path

import pytest
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.wait import WebDriverWait

from tests.integration.chromium import (
    NEEDED,
    before_the_page,
    focused,
    press,
    resize,
    screenshot,
    shown,
    until,
)

pytestmark = [pytest.mark.integration, pytest.mark.chromium, NEEDED]

LOCKED = """
    const real = window.fetch;
    window.fetch = async (route, request) => {
      if (request.headers?.["X-API-Key"] === "sesame") return real(route, request);
      const error = { code: "unauthorized", message: "only with an API key", request_id: "r" };
      return Response.json({ error }, { status: 401 });
    };
"""
"""Stands in for a service that asks for a key."""


def test_a_key_is_asked_for_when_it_is_needed(
    browser: webdriver.Chrome, page_url: str, files: list[Path]
) -> None:
    """A refused key is asked for again; with the right one the waiting images go on."""
    before_the_page(browser, LOCKED)
    resize(browser, 390)
    browser.get(page_url)
    wait = WebDriverWait(browser, 30)
    wait.until(lambda _: focused(browser) == "key")
    press(browser, Keys.ESCAPE)
    wait.until(lambda _: shown(browser, "#model-text") == ["An API key is needed"])
    browser.find_element(By.ID, "files").send_keys("\n".join(map(str, files[:2])))
    wait.until(lambda _: focused(browser) == "key")
    assert shown(browser, "#key-form label") == ["API key"]
    press(browser, "wrong", Keys.ENTER)
    wait.until(lambda _: shown(browser, "#key-refused") == ["That key was refused."])
    screenshot(browser, "page-key", 390)
    press(browser, "sesame", Keys.ENTER)
    until(browser, "#tally", "2 images · 2 accepted")
    assert shown(browser, "#model-text")[0].startswith("demo:")
    kept = browser.execute_script("return [{...sessionStorage}, {...localStorage}]")
    assert "sesame" in json.dumps(kept[0])
    assert "sesame" not in json.dumps(kept[1])


def test_without_a_key_nothing_is_sent(
    browser: webdriver.Chrome, page_url: str, files: list[Path]
) -> None:
    """Who gives no key is asked once, not for every image, and can go on later."""
    before_the_page(browser, LOCKED)
    browser.get(page_url)
    wait = WebDriverWait(browser, 30)
    wait.until(lambda _: focused(browser) == "key")
    browser.find_element(By.ID, "key-cancel").click()
    browser.find_element(By.ID, "files").send_keys("\n".join(map(str, files)))
    wait.until(lambda _: focused(browser) == "key")
    browser.find_element(By.ID, "key-cancel").click()
    until(browser, "#tally", "4 images · 4 not sent")
    assert shown(browser, "#stop") == ["Go on"]
