"""The report site serves what was published and nothing beside it."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from monitoring.reports.site import create_site, is_safe
from pipeline.adapters.storage import LocalStore
from pipeline.pages.report_site import Page, publish_page
from tests.unit.monitoring.fake_predictions import START


@pytest.fixture
def client(tmp_path: Path) -> Iterator[TestClient]:
    """A site with one page, and a secret beside it."""
    root, folder = tmp_path / "store", tmp_path / "page"
    folder.mkdir()
    (folder / "index.html").write_text("<h1>Drift</h1>")
    (folder / "drift.json").write_text("{}")
    objects = LocalStore()
    objects.write(f"{root}/pointer/demo/pointer.json", b"secret")
    page = Page(name="demo", section="drift", title="a page", badge="quiet", time=START)
    publish_page(objects, str(root), page, folder)
    with TestClient(create_site(objects, str(root))) as client:
        yield client


def _page(client: TestClient) -> str:
    body: str = client.get("/demo/").text
    start = body.index('href="../demo/drift/') + len('href="..')
    return body[start : body.index('"', start)].removesuffix("index.html")


def test_index_lists_and_links_the_page(client: TestClient) -> None:
    """From the index a reader reaches the page and its files, with their types."""
    assert "a page" in client.get("/").text
    page = _page(client)
    answer = client.get(page)
    assert answer.text == "<h1>Drift</h1>"
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.headers["x-content-type-options"] == "nosniff"
    json = client.get(f"{page}drift.json")
    assert json.headers["content-type"] == "application/json; charset=utf-8"


def test_a_folder_without_slash_is_redirected(client: TestClient) -> None:
    """Relative links need the slash."""
    answer = client.get("/demo", follow_redirects=False)
    assert (answer.status_code, answer.headers["location"]) == (307, "/demo/")


def test_an_unchanged_page_is_not_sent_again(client: TestClient) -> None:
    """A browser that shows the ETag gets 304 and no body."""
    etag = client.get("/").headers["etag"]
    answer = client.get("/", headers={"if-none-match": etag})
    assert (answer.status_code, answer.content) == (304, b"")


@pytest.mark.parametrize(
    "path",
    [
        "/../pointer/demo/pointer.json",
        "/%2e%2e/pointer/demo/pointer.json",
        "/..%2fpointer/demo/pointer.json",
        "/demo/%2e%2e/%2e%2e/pointer/demo/pointer.json",
        "/..%5cpointer/demo/pointer.json",
        "//pointer/demo/pointer.json",
        "/demo/.lock",
        "/demo/%00",
        "/nothing",
    ],
)
def test_nothing_beside_the_reports_is_reached(client: TestClient, path: str) -> None:
    """Every way up, hidden file or odd name is a plain 404."""
    answer = client.get(path)
    assert answer.status_code == 404
    assert b"secret" not in answer.content


@pytest.mark.parametrize(
    ("path", "safe"),
    [
        ("", True),
        ("demo/", True),
        ("demo/drift/x/evidently.html", True),
        ("..", False),
        ("demo/../x", False),
        ("/etc/passwd", False),
        ("demo//x", False),
        ("a\\..\\b", False),
        ("\x00", False),
    ],
)
def test_is_safe(path: str, safe: bool) -> None:
    """Only plain names stay below the site."""
    assert is_safe(path) is safe


def test_health_and_an_empty_site(tmp_path: Path) -> None:
    """Before the first report the site is healthy and says that there is nothing yet."""
    with TestClient(create_site(LocalStore(), str(tmp_path))) as client:
        assert client.get("/healthz").text == "ok"
        assert "Nothing has been published yet" in client.get("/").text
