"""The page in headless Chromium: many images at once, on a desk and on a phone."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from selenium import webdriver
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.select import Select
from selenium.webdriver.support.wait import WebDriverWait

from tests.integration.chromium import NEEDED, chromium, resize, screenshot, shown

pytestmark = [pytest.mark.integration, pytest.mark.chromium, NEEDED]


CSV = """
    const done = arguments[0], make = URL.createObjectURL;
    URL.createObjectURL = (blob) => { blob.text().then(done); return make.call(URL, blob); };
    document.getElementById("export").click();
"""
"""Presses the button and gives what would be saved."""


@pytest.fixture(scope="module")
def page_url(
    tmp_path_factory: pytest.TempPathFactory,
    make_stage: Callable[..., Any],
    serve: Callable[..., AbstractContextManager[str]],
) -> Iterator[str]:
    """A service with a model that is called `demo`."""
    folder = tmp_path_factory.mktemp("page")
    stage = make_stage(folder / "store", "demo")
    stage.point_to(stage.publish(folder / "built"))
    with serve(folder, stage.root, MODEL_NAME="demo") as url:
        yield url


@pytest.fixture
def browser() -> Iterator[webdriver.Chrome]:
    """A Chromium that talks to nobody but the service."""
    with chromium() as driver:
        yield driver


@pytest.fixture
def files(tmp_path: Path, cell_image: Callable[..., bytes]) -> list[Path]:
    """Two cells, a photograph without one, and a file that is no image."""
    names = ("first.jpeg", "second.jpeg", "empty.png", "broken.png")
    paths = [tmp_path / name for name in names]
    paths[0].write_bytes(cell_image(0))
    paths[1].write_bytes(cell_image(3, shift=-120))
    Image.new("L", (240, 240), 205).save(paths[2])
    paths[3].write_text("not an image")
    return paths


@pytest.mark.parametrize("width", [1280, 390])
def test_many_images_are_answered_side_by_side(
    browser: webdriver.Chrome, page_url: str, files: list[Path], width: int
) -> None:
    """Each shows bars in contract order, a decision, its crop and the tag; errors stay theirs."""
    resize(browser, width)
    browser.get(page_url)
    wait = WebDriverWait(browser, 30)
    wait.until(
        lambda _: browser.find_element(By.ID, "model").get_attribute("data-state") == "ready"
    )
    browser.find_element(By.ID, "files").send_keys("\n".join(map(str, files)))
    wait.until(lambda _: len(shown(browser, ".card")) == 4)
    wait.until(lambda _: not shown(browser, '.card[data-state="waiting"]'))

    assert shown(browser, '.card[data-state="error"] .file') == ["broken.png"]
    assert "The image cannot be read" in shown(browser, '.card[data-state="error"] .reasons')[0]
    assert shown(browser, '.card[data-state="review"] .file') == ["empty.png"]
    assert "No stained nucleus" in shown(browser, '.card[data-state="review"] .reasons')[0]
    names = ["Eosinophil", "Lymphocyte", "Monocyte", "Neutrophil"]
    assert shown(browser, ".card:first-child .bars .name") == names
    assert shown(browser, ".card:first-child .pill")[0] in ("Accept", "Needs review")
    assert "demo:000000000000" in shown(browser, ".card:first-child .meta")[0]
    assert _colours(browser, ".card:first-child .crop canvas") > 3
    assert "Research use, not for diagnosis." in shown(browser, ".notice")[0]
    assert "trained on drawings" in shown(browser, ".notice")[0]
    assert browser.execute_script("return document.documentElement.scrollWidth") == width
    screenshot(browser, "page", width)
    assert violations(browser) == []


def opened(
    browser: webdriver.Chrome, url: str, files: list[Path]
) -> WebDriverWait[webdriver.Chrome]:
    """The page on a desk, given these files."""
    resize(browser, 1280)
    browser.get(url)
    browser.find_element(By.ID, "files").send_keys("\n".join(map(str, files)))
    return WebDriverWait(browser, 30)


def violations(browser: webdriver.Chrome) -> list[str]:
    """What the console says against the content security policy."""
    log = browser.get_log("browser")  # type: ignore[no-untyped-call]
    return [entry["message"] for entry in log if "Content Security" in entry["message"]]


def test_many_answers_are_counted_sorted_and_chosen(
    browser: webdriver.Chrome, page_url: str, files: list[Path]
) -> None:
    """The differential with intervals, the most doubtful first, and those to review alone."""
    wait = opened(browser, page_url, files)
    wait.until(lambda _: "3 cells" in shown(browser, "#counted")[0])
    wait.until(lambda _: not shown(browser, '.card[data-state="waiting"]'))
    names = ["Eosinophil", "Lymphocyte", "Monocyte", "Neutrophil"]
    assert shown(browser, "#shares th") == names
    rows = [shown(browser, f"#shares tr:nth-child({n}) td") for n in (1, 2, 3, 4)]
    assert sum(int(row[0]) for row in rows) == 3
    ends = {"0": "0.0 % to 70.8 %", "1": "0.8 % to 90.6 %", "2": "9.4 % to 99.2 %"}
    assert all(row[2] == {**ends, "3": "29.2 % to 100.0 %"}[row[0]] for row in rows)
    Select(browser.find_element(By.ID, "order")).select_by_value("doubt")
    # A file that could not be read comes first, then the photograph without a cell.
    assert shown(browser, ".card .file")[:2] == ["broken.png", "empty.png"]
    Select(browser.find_element(By.ID, "only")).select_by_value("label:NEUTROPHIL")
    seen = [name for name in shown(browser, ".card .label") if name]
    assert set(seen) <= {"No answer", "Neutrophil"}
    table = browser.execute_async_script(CSV)
    assert table.count("\r\n") == 4
    assert '"first.jpeg"' in table
    assert violations(browser) == []


def test_evidence_is_a_click_away(
    browser: webdriver.Chrome, page_url: str, files: list[Path]
) -> None:
    """The button shows the map over the crop, says how to read it, and takes it away again."""
    wait = opened(browser, page_url, files[:1])
    wait.until(lambda _: shown(browser, ".card .why") == ["Show evidence"])
    button = browser.find_element(By.CSS_SELECTOR, ".card .why")
    button.send_keys(Keys.ENTER)
    wait.until(lambda _: button.text == "Hide evidence")
    picture = browser.find_element(By.CSS_SELECTOR, ".card .evidence")
    assert picture.get_property("naturalWidth") == 384
    assert str(picture.get_attribute("alt")).startswith("Which parts of the crop speak for ")
    assert shown(browser, ".card .aid")[0].startswith("Orange speaks for ")
    screenshot(browser, "page-evidence", 1280)
    button.send_keys(Keys.SPACE)
    wait.until(lambda _: button.text == "Show evidence")
    assert not picture.is_displayed()
    assert violations(browser) == []


def _colours(browser: webdriver.Chrome, selector: str) -> int:
    """How many different colours a canvas holds."""
    script = """
        const canvas = document.querySelector(arguments[0]);
        const data = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
        return new Set(new Uint32Array(data.buffer)).size;
    """
    return int(browser.execute_script(script, selector))


def test_the_keyboard_reaches_everything(
    browser: webdriver.Chrome, page_url: str, files: list[Path]
) -> None:
    """Tab goes from the name to the file field to Clear, and Enter clears."""
    browser.get(page_url)
    browser.find_element(By.ID, "files").send_keys(str(files[0]))
    WebDriverWait(browser, 30).until(lambda _: shown(browser, ".card .pill") not in ([], [""]))
    browser.execute_script("document.querySelector('.brand').focus()")
    visited = []
    for _ in range(2):
        ActionChains(browser).send_keys(Keys.TAB).perform()
        visited.append(browser.switch_to.active_element.get_attribute("id"))
    assert visited == ["files", "clear"]
    ActionChains(browser).send_keys(Keys.ENTER).perform()
    assert shown(browser, ".card") == []


def test_a_missing_model_is_said_plainly(
    browser: webdriver.Chrome, tmp_path: Path, serve: Callable[..., AbstractContextManager[str]]
) -> None:
    """Before the first promotion the page works and says that there is no model."""
    with serve(tmp_path, tmp_path / "store") as url:
        browser.get(url)
        WebDriverWait(browser, 30).until(
            lambda _: shown(browser, "#model-text") == ["No model is served yet"]
        )
