"""The page in headless Chromium: one image, many images, differential, evidence map."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.select import Select
from selenium.webdriver.support.wait import WebDriverWait

from tests.integration.page.chromium import (
    NEEDED,
    choose_files,
    classify_files,
    focused,
    screenshot,
    shown,
    until,
    violations,
)

pytestmark = [pytest.mark.integration, pytest.mark.chromium, NEEDED]

NAMES = ["Eosinophil", "Lymphocyte", "Monocyte", "Neutrophil"]
_SEEN = ".tiles li:not([hidden])"
CSV = """
    const done = arguments[0], make = URL.createObjectURL;
    URL.createObjectURL = (blob) => { blob.text().then(done); return make.call(URL, blob); };
    document.getElementById("export").click();
"""
"""Clicks the export button and returns the content of the file."""


@pytest.mark.parametrize("width", [1280, 390])
def test_one_image_is_shown_in_detail(
    browser: webdriver.Chrome, page_url: str, files: list[Path], width: int
) -> None:
    """Bars in contract order, decision, crop, tag and the notice on use."""
    wait = classify_files(browser, page_url, files[:1], width=width)
    wait.until(lambda _: _colours(browser, "#crop") > 3)
    assert shown(browser, "#detail-file") == ["first.jpeg"]
    assert shown(browser, "#bars .name") == NAMES
    assert shown(browser, "#detail-pill")[0] in ("Accepted", "Needs review")
    assert "demo:000000000000" in shown(browser, "#meta")[0]
    assert "Research use, not for diagnosis." in shown(browser, ".notice")[0]
    assert "not trained for real work" in shown(browser, ".notice")[0]
    assert not browser.find_element(By.ID, "gallery").is_displayed()
    assert not browser.find_element(By.ID, "key").is_displayed()
    assert _page_width(browser) == width
    screenshot(browser, "page-one", width)
    assert violations(browser) == []


@pytest.mark.parametrize("width", [1280, 390])
def test_many_images_are_shown_as_tiles(
    browser: webdriver.Chrome, page_url: str, files: list[Path], width: int
) -> None:
    """Each tile shows its photograph, label, decision and confidence, or its own error."""
    classify_files(browser, page_url, files, width=width)
    assert shown(browser, "#tally")[0].startswith("4 images · ")
    assert shown(browser, '.tile[data-state="error"] .file') == ["broken.png"]
    assert shown(browser, '.tile[data-state="error"] .label') == ["No result"]
    assert shown(browser, '.tile[data-state="review"] .file') == ["empty.png"]
    pictures = browser.find_elements(By.CSS_SELECTOR, ".tile:not([data-state='error']) img")
    assert all(int(str(picture.get_property("naturalWidth"))) >= 240 for picture in pictures)
    assert all(" %" in text for text in shown(browser, '.tile[data-state="accept"] .sure'))
    assert not browser.find_element(By.ID, "alone").is_displayed()
    assert _page_width(browser) == width
    screenshot(browser, "page", width)
    assert violations(browser) == []


def test_many_images_are_counted_sorted_and_filtered(
    browser: webdriver.Chrome, page_url: str, files: list[Path]
) -> None:
    """Intervals in the differential, least certain first, filters by class and decision."""
    classify_files(browser, page_url, files)
    assert "3 cells" in shown(browser, "#counted")[0]
    until(browser, "#warnings", "Fewer than 100 cells were counted")
    assert shown(browser, "#shares th") == NAMES
    rows = [shown(browser, f"#shares tr:nth-child({n}) td") for n in (1, 2, 3, 4)]
    assert sum(int(row[0]) for row in rows) == 3
    ends = {"0": "0.0 % to 70.8 %", "1": "0.8 % to 90.6 %", "2": "9.4 % to 99.2 %"}
    assert all(row[2] == {**ends, "3": "29.2 % to 100.0 %"}[row[0]] for row in rows)
    # A file that could not be read comes first, then the photograph without a cell.
    assert shown(browser, ".tile .file")[:2] == ["broken.png", "empty.png"]
    choose = {
        name: Select(browser.find_element(By.ID, name)) for name in ("order", "decision", "class")
    }
    choose["order"].select_by_value("sent")
    assert shown(browser, ".tile .file") == [path.name for path in files]
    choose["decision"].select_by_value("accept")
    assert _seen(browser, ".file") == ["first.jpeg", "second.jpeg"]
    assert shown(browser, "#seen") == ["2 shown"]
    choose["class"].select_by_value("NEUTROPHIL")
    assert _seen(browser, ".label") == ["Neutrophil"]
    table = browser.execute_async_script(CSV)
    assert table.count("\r\n") == 4
    assert table.startswith('"file","label","corrected_label","decision"')
    assert '"first.jpeg","EOSINOPHIL","","accept"' in table
    assert violations(browser) == []


def test_the_evidence_map_is_shown_on_demand(
    browser: webdriver.Chrome, page_url: str, files: list[Path]
) -> None:
    """The button shows the map over the crop, explains it, and hides it again."""
    wait = classify_files(browser, page_url, files[:1])
    button = browser.find_element(By.ID, "why")
    button.send_keys(Keys.ENTER)
    wait.until(lambda _: "Hide evidence" in button.text)
    picture = browser.find_element(By.ID, "evidence")
    assert picture.get_property("naturalWidth") == 384
    assert str(picture.get_attribute("alt")).startswith("Evidence map for ")
    assert shown(browser, "#aid")[0].startswith("Orange areas are evidence for ")
    screenshot(browser, "page-evidence", 1280)
    button.send_keys(Keys.SPACE)
    wait.until(lambda _: "Show evidence" in button.text)
    assert not picture.is_displayed()
    assert violations(browser) == []


@pytest.mark.slow
def test_a_long_queue_can_be_stopped_and_resumed(
    browser: webdriver.Chrome, page_url: str, files: list[Path]
) -> None:
    """Progress bar, Stop, more tiles on demand, and Resume."""
    wait = choose_files(browser, page_url, files[:2] * 130)
    bar = browser.find_element(By.ID, "progress")
    wait.until(lambda _: int(str(bar.get_property("value"))) > 0)
    assert shown(browser, "#progress-words")[0].endswith(" of 260")
    screenshot(browser, "page-running", 1280)
    browser.find_element(By.ID, "stop").click()
    wait.until(lambda _: " not sent" in shown(browser, "#tally")[0])
    screenshot(browser, "page-stopped", 1280)
    assert browser.find_elements(By.CSS_SELECTOR, '.tile[data-state="stopped"]')
    assert not browser.find_elements(By.CSS_SELECTOR, '.tile[data-state="waiting"]')
    assert len(browser.find_elements(By.CSS_SELECTOR, _SEEN)) == 240
    more = browser.find_element(By.ID, "more")
    assert more.text == "Show more"
    more.click()
    assert len(browser.find_elements(By.CSS_SELECTOR, _SEEN)) == 260
    assert "Not sent" in focused(browser)
    assert not more.is_displayed()
    browser.find_element(By.ID, "stop").click()
    long_wait = WebDriverWait(browser, 120)
    long_wait.until(lambda _: shown(browser, "#tally") == ["260 images · 260 accepted"])
    assert not bar.is_displayed()


def test_a_missing_model_is_reported(
    browser: webdriver.Chrome, tmp_path: Path, serve: Callable[..., AbstractContextManager[str]]
) -> None:
    """Before the first promotion the page loads and reports that there is no model."""
    with serve(tmp_path, tmp_path / "store") as url:
        browser.get(url)
        WebDriverWait(browser, 30).until(
            lambda _: shown(browser, "#model-text") == ["No model is served yet"]
        )


def _seen(browser: webdriver.Chrome, selector: str) -> list[str]:
    """Texts in the tiles that pass the filters."""
    return shown(browser, f"{_SEEN} {selector}")


def _page_width(browser: webdriver.Chrome) -> int:
    return int(browser.execute_script("return document.documentElement.scrollWidth"))


def _colours(browser: webdriver.Chrome, selector: str) -> int:
    """How many different colours a canvas holds."""
    script = """
        const canvas = document.querySelector(arguments[0]);
        const data = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
        return new Set(new Uint32Array(data.buffer)).size;
    """
    return int(browser.execute_script(script, selector))
