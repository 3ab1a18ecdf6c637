"""The report site serves published pages and nothing else in the store."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from monitoring.reports.server import create_site, is_safe
from pipeline.adapters.storage import LocalStore
from pipeline.pages.report_site import Page, publish_page
from tests.unit.monitoring.fake_predictions import START


@pytest.fixture
def client(tmp_path: Path) -> Iterator[TestClient]:
    """A site with one page, in a store with another object."""
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
    """The index links the page; pages and files have their content types."""
    assert "a page" in client.get("/").text
    page = _page(client)
    response = client.get(page)
    assert response.text == "<h1>Drift</h1>"
    assert response.headers["content-type"] == "text/html; charset=utf-8"
    assert response.headers["x-content-type-options"] == "nosniff"
    json = client.get(f"{page}drift.json")
    assert json.headers["content-type"] == "application/json; charset=utf-8"


def test_a_folder_without_slash_is_redirected(client: TestClient) -> None:
    """Relative links need the trailing slash."""
    response = client.get("/demo", follow_redirects=False)
    assert (response.status_code, response.headers["location"]) == (307, "/demo/")


def test_an_unchanged_page_is_not_sent_again(client: TestClient) -> None:
    """A request with the ETag gets 304 and no body."""
    etag = client.get("/").headers["etag"]
    response = client.get("/", headers={"if-none-match": etag})
    assert (response.status_code, response.content) == (304, b"")


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
def test_other_objects_cannot_be_reached(client: TestClient, path: str) -> None:
    """Parent folders, hidden files and unprintable names are a 404."""
    response = client.get(path)
    assert response.status_code == 404
    assert b"secret" not in response.content


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
    """Parent folders, absolute, hidden and unprintable paths are unsafe."""
    assert is_safe(path) is safe


def test_health_and_an_empty_site(tmp_path: Path) -> None:
    """Before the first report the site is healthy and its index is empty."""
    with TestClient(create_site(LocalStore(), str(tmp_path))) as client:
        assert client.get("/healthz").text == "ok"
        assert "No report has been published yet" in client.get("/").text
