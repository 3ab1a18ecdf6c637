"""Which store a URI names."""

from pathlib import Path

from pipeline.adapters.storage import UriStore
from pipeline.settings import Settings


def test_a_uri_names_its_store(tmp_path: Path) -> None:
    """A path and a file:// URI are one place, and neither needs S3."""
    store = UriStore(Settings())
    store.write(f"file://{tmp_path}/object", b"content")
    assert store.read(f"{tmp_path}/object") == b"content"
