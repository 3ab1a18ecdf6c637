"""Dispatch by URI."""

from pathlib import Path

from pipeline.adapters.storage import UriStore
from pipeline.settings import Settings


def test_a_file_uri_and_a_path_are_one_object(tmp_path: Path) -> None:
    """Neither needs S3."""
    store = UriStore(Settings())
    store.write(f"file://{tmp_path}/object", b"content")
    assert store.read(f"{tmp_path}/object") == b"content"
