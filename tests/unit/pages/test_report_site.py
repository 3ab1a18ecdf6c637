"""Published pages and the index of them."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from pipeline.adapters.storage import LocalStore
from pipeline.errors import ArtifactError
from pipeline.pages.report_site import Page, publish_page, rebuild_index

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)


@pytest.fixture
def page(tmp_path: Path) -> Path:
    """A folder to publish."""
    folder = tmp_path / "page"
    folder.mkdir()
    (folder / "index.html").write_text("<p>hello</p>")
    return folder


def _publish(root: Path, page: Path, name: str, title: str, hours: int = 0) -> str:
    time = NOW + timedelta(hours=hours)
    listed = Page(name=name, section="drift", title=title, badge="alarm", time=time)
    return publish_page(LocalStore(), str(root), listed, page)


def test_the_same_page_twice_is_one_page(tmp_path: Path, page: Path) -> None:
    """A retried task lists it once."""
    first = _publish(tmp_path, page, "demo", "one")
    assert _publish(tmp_path, page, "demo", "one") == first
    listed = (tmp_path / "reports/demo/index.html").read_text()
    assert listed.count('class="title">one') == 1


def test_an_index_is_by_model_name_and_newest_first(tmp_path: Path, page: Path) -> None:
    """The overview lists all names."""
    _publish(tmp_path, page, "demo", "older")
    _publish(tmp_path, page, "demo", "newer", hours=1)
    _publish(tmp_path, page, "blood_cells", "other")
    overview = (tmp_path / "reports/index.html").read_text()
    assert overview.index('class="title">newer') < overview.index('class="title">older')
    assert "other" not in (tmp_path / "reports/demo/index.html").read_text()
    assert "not for diagnosis" in overview


def test_an_index_is_rebuilt_from_the_entries(tmp_path: Path, page: Path) -> None:
    """After it was edited."""
    _publish(tmp_path, page, "demo", "one")
    index = tmp_path / "reports/index.html"
    before = index.read_text()
    index.write_text("vandalised")
    rebuild_index(LocalStore(), str(tmp_path))
    assert index.read_text() == before


def test_titles_are_escaped(tmp_path: Path, page: Path) -> None:
    """A title is no markup."""
    _publish(tmp_path, page, "demo", "<script>alert(1)</script>")
    assert "<script>" not in (tmp_path / "reports/index.html").read_text()


def test_a_folder_without_index_is_refused(tmp_path: Path) -> None:
    """It could not be opened from the index."""
    with pytest.raises(ArtifactError, match=r"folder .* has no index\.html"):
        _publish(tmp_path, tmp_path, "demo", "one")


def test_a_damaged_entry_is_named(tmp_path: Path, page: Path) -> None:
    """The error has its address, so that the file can be removed."""
    uri = _publish(tmp_path, page, "demo", "one")
    Path(uri, "entry.json").write_text("{}")
    with pytest.raises(ArtifactError, match=r"entry\.json is damaged"):
        rebuild_index(LocalStore(), str(tmp_path))
