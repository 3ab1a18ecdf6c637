"""S3 URIs; the store itself is tested against a real one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.adapters.storage import split_s3
from pipeline.errors import ArtifactError


@given(bucket=st.from_regex(r"[a-z]{3,8}", fullmatch=True), key=st.text(min_size=1))
def test_an_s3_uri_is_bucket_and_key(bucket: str, key: str) -> None:
    """`?` and `#` are part of the key."""
    assert split_s3(f"s3://{bucket}/{key}") == (bucket, key)


@pytest.mark.parametrize("uri", ["/tmp/object", "http://bucket/key", "s3:///key"])  # noqa: S108
def test_another_uri_is_refused(uri: str) -> None:
    """The error has the expected form."""
    with pytest.raises(ArtifactError, match="s3://bucket/key"):
        split_s3(uri)
