"""The page's gallery in headless Chromium: folders, the dialog and corrections."""

from pathlib import Path

import pytest
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from bento_service.inference.responses import NO_IMAGE_KEPT
from tests.integration.page.chromium import (
    NEEDED,
    before_the_page,
    classify_files,
    focused,
    press,
    resize,
    screenshot,
    shown,
    until,
    violations,
)
from tests.integration.page.test_page import CSV

pytestmark = [pytest.mark.integration, pytest.mark.chromium, NEEDED]

FEEDBACK = """
    const real = window.fetch;
    window.sent = [];
    window.fetch = async (route, request) => {
      if (route === "feedback") window.sent.push(JSON.parse(request.body));
      return real(route, request);
    };
"""
"""Records the feedback that the page sends."""


@pytest.fixture
def folder(files: list[Path]) -> Path:
    """A folder with an image, 120 images in a subfolder, and a text file."""
    top = files[0].parent
    below = top / "more"
    below.mkdir()
    for number in range(120):
        (below / f"{number}.JPG").write_bytes(files[0].read_bytes())
    for path in files[1:]:
        path.unlink()
    (top / "notes.txt").write_text("not an image")
    return top


def test_a_chosen_folder_is_classified(
    browser: webdriver.Chrome, page_url: str, folder: Path
) -> None:
    """Images at any depth are sent and named by their path; other files are skipped."""
    resize(browser, 1280)
    browser.get(page_url)
    browser.find_element(By.ID, "folder").send_keys(str(folder))
    until(browser, "#tally", "121 images · ")
    names = browser.execute_script(
        "return [...document.querySelectorAll('.tile .file')].map((one) => one.textContent)"
    )
    below = [f"smear/more/{number}.JPG" for number in range(120)]
    assert sorted(names) == sorted(["smear/first.jpeg", *below])


def test_a_dropped_folder_is_classified(
    browser: webdriver.Chrome, page_url: str, folder: Path
) -> None:
    """All images, sorted by path; browsers return at most 100 entries at once."""
    resize(browser, 1280)
    browser.get(page_url)
    _drop(browser, folder)
    until(browser, "#tally", "121 images · ")
    browser.find_element(By.ID, "order").send_keys("Upload order")
    assert shown(browser, ".tile .file")[:4] == [
        "smear/first.jpeg",
        "smear/more/0.JPG",
        "smear/more/1.JPG",
        "smear/more/2.JPG",
    ]
    screenshot(browser, "page-folder", 1280)


@pytest.mark.field("appledouble")
def test_metadata_in_a_folder_is_counted_on_one_line(
    browser: webdriver.Chrome, page_url: str, files: list[Path]
) -> None:
    """It is not sent; the rules are those of the pipeline. The next choice starts a new line."""
    top = files[0].parent
    names = (*(f"._{path.name}" for path in files), "Icon\r", "Thumbs.db", "IMG_1.THM")
    for name in (*names, "masks/first.jpeg", "@eaDir/first.jpeg", "counts.csv"):
        (top / name).parent.mkdir(exist_ok=True)
        (top / name).write_bytes(b"\x00\x05\x16\x07")
    resize(browser, 1280)
    browser.get(page_url)
    _drop(browser, top)
    until(browser, "#tally", "4 images · ")
    until(browser, "#left-out", "8 metadata files skipped · 2 other files skipped")
    browser.find_element(By.ID, "folder").send_keys(str(top / "masks"))
    until(browser, "#tally", "5 images · ")
    assert not browser.find_element(By.ID, "left-out").is_displayed()
    browser.find_element(By.ID, "files").send_keys(str(top / "._first.jpeg"))
    until(browser, "#left-out", "1 metadata file skipped")
    assert violations(browser) == []


def test_a_folder_without_images_is_reported(browser: webdriver.Chrome, page_url: str) -> None:
    """Nothing is sent, and the page states the reason."""
    browser.get(page_url)
    _drop(browser, Path(__file__).parent)
    until(browser, "#nothing", "This folder contains no JPEG, PNG or BMP files.")
    assert shown(browser, ".tile") == []


def test_arrow_keys_move_between_images(
    browser: webdriver.Chrome, page_url: str, files: list[Path]
) -> None:
    """Between tiles and, after Enter, in the dialog; Escape returns to the last image."""
    classify_files(browser, page_url, files)
    order = shown(browser, ".tile .file")
    browser.execute_script("document.querySelector('.tile').focus()")
    press(browser, Keys.ARROW_RIGHT, Keys.ENTER)
    assert shown(browser, "#detail-file") == [order[1]]
    assert shown(browser, "#position") == ["2 of 4"]
    assert "No stained nucleus" in shown(browser, "#reasons")[0]
    press(browser, Keys.ARROW_LEFT)
    assert shown(browser, "#detail-file") == ["broken.png"]
    assert "The image cannot be read" in shown(browser, "#reasons")[0]
    assert not browser.find_element(By.ID, "previous").is_enabled()
    screenshot(browser, "page-dialog-error", 1280)
    press(browser, Keys.ARROW_RIGHT, Keys.ARROW_RIGHT, "e")
    until(browser, "#aid", "Orange areas are evidence for ")
    press(browser, Keys.ESCAPE)
    assert not browser.find_element(By.ID, "dialog").is_displayed()
    assert order[2] in focused(browser)


@pytest.mark.parametrize("width", [1280, 390])
def test_a_correction_is_sent_shown_and_counted(
    browser: webdriver.Chrome, page_url: str, files: list[Path], width: int
) -> None:
    """A number key and Enter; tile, differential and CSV show the corrected label."""
    before_the_page(browser, FEEDBACK)
    wait = classify_files(browser, page_url, files[:2], width=width)
    browser.execute_script("document.querySelector('.tile').focus()")
    press(browser, Keys.ENTER, "3")
    browser.find_element(By.ID, "reviewer").send_keys("Ada" + Keys.ENTER)
    wait.until(lambda _: shown(browser, "#detail-pill") == ["Corrected"])
    assert shown(browser, "#detail-label") == ["Monocyte"]
    assert shown(browser, "#feedback-status") == [NO_IMAGE_KEPT]
    (sent,) = browser.execute_script("return window.sent")
    assert sent["label"] == "MONOCYTE"
    assert sent["reviewer"] == "Ada"
    assert sent["request_id"] in shown(browser, "#meta")[0]
    screenshot(browser, "page-correction", width)
    press(browser, Keys.ESCAPE)
    wait.until(lambda _: "1 corrected" in shown(browser, "#counted")[0])
    wait.until(lambda _: shown(browser, "#shares tr:nth-child(3) td")[:1] == ["1"])
    assert shown(browser, '.tile[data-state="corrected"] .label') == ["Monocyte"]
    assert shown(browser, "#tally") == ["2 images · 1 accepted · 1 checked by a person"]
    assert '","MONOCYTE","accept",' in browser.execute_async_script(CSV)
    screenshot(browser, "page-corrected", width)
    browser.refresh()
    assert browser.find_element(By.ID, "reviewer").get_property("value") == "Ada"
    assert violations(browser) == []


def test_a_correction_requires_class_and_name(
    browser: webdriver.Chrome, page_url: str, files: list[Path]
) -> None:
    """Without them nothing is sent."""
    before_the_page(browser, FEEDBACK)
    classify_files(browser, page_url, files[:1])
    browser.find_element(By.ID, "reviewer").send_keys("Ada")
    browser.find_element(By.ID, "send").click()
    assert shown(browser, "#feedback-status") == ["Choose a class first."]
    browser.find_element(By.ID, "reviewer").clear()
    browser.find_element(By.CSS_SELECTOR, "#choices button").click()
    browser.find_element(By.ID, "send").click()
    assert focused(browser) == "reviewer"
    assert browser.execute_script("return window.sent") == []


def _drop(browser: webdriver.Chrome, folder: Path) -> None:
    """Drag and drop a folder onto the page."""
    data = {"items": [], "files": [str(folder)], "dragOperationsMask": 1}
    for kind in ("dragEnter", "dragOver", "drop"):
        event = {"type": kind, "x": 200, "y": 300, "data": data}
        browser.execute_cdp_cmd("Input.dispatchDragEvent", event)
