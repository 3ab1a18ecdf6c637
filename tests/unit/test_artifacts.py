"""Manifests, their digests and tags."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from pydantic import ValidationError

from pipeline.artifacts import Artifact, BundleManifest, DatasetManifest, Manifest, model_tag
from pipeline.digests import canonical_json, sha256_file

BUNDLE = BundleManifest(
    name="cells",
    run_id="one",
    code_version="v1",
    created_at=datetime(2026, 11, 1, tzinfo=UTC),
    inputs={"split": "s", "weights": "w"},
    counts={"train": 1},
    files={"model.keras": "0" * 64},
)


@pytest.mark.parametrize(
    "provenance",
    [
        {"run_id": "two"},
        {"code_version": "v2"},
        {"created_at": datetime(2027, 1, 1, tzinfo=UTC)},
        {"tracking_run": "3f"},
        {"inputs": {"weights": "w", "split": "s"}},
    ],
)
def test_provenance_is_not_part_of_the_digest(provenance: dict[str, object]) -> None:
    """Equal content is one artefact; the order of inputs does not count."""
    assert BUNDLE.model_copy(update=provenance).digest() == BUNDLE.digest()


@pytest.mark.parametrize(
    "fields",
    [
        {"name": "other"},
        {"inputs": {"split": "other", "weights": "w"}},
        {"counts": {"train": 2}},
        {"files": {"model.keras": "1" * 64}},
    ],
)
def test_every_other_field_is_part_of_the_digest(fields: dict[str, object]) -> None:
    """Another input, count or byte is another artefact."""
    assert BUNDLE.model_copy(update=fields).digest() != BUNDLE.digest()


def test_the_kind_is_part_of_the_digest() -> None:
    """Two kinds never share a URI."""
    fields = BUNDLE.model_dump(exclude={"kind", "tracking_run"})
    assert DatasetManifest(**fields).digest() != BUNDLE.digest()


def test_a_digest_survives_the_file() -> None:
    """A manifest that was written and read has the same digest."""
    assert BundleManifest.model_validate_json(BUNDLE.model_dump_json()).digest() == BUNDLE.digest()


def test_a_tag_is_name_and_digest() -> None:
    """Name and twelve hex digits."""
    assert model_tag(Artifact("uri", BUNDLE)) == f"cells:{BUNDLE.digest()[:12]}"


def test_an_unknown_field_of_a_manifest_is_an_error() -> None:
    """A field of a later version is not dropped."""
    fields = json.loads(BUNDLE.model_dump_json()) | {"later": 1}
    with pytest.raises(ValidationError, match="later"):
        BundleManifest.model_validate(fields)
    with pytest.raises(ValidationError, match="kind"):
        BundleManifest.model_validate(BUNDLE.model_dump() | {"kind": "dataset"})
    assert issubclass(BundleManifest, Manifest)


def test_equal_values_have_equal_json() -> None:
    """Insertion order does not count."""
    assert canonical_json({"b": 1, "a": [2]}) == canonical_json({"a": [2], "b": 1})
    assert canonical_json({}).endswith("\n")


def test_a_file_is_hashed_in_blocks(tmp_path: Path) -> None:
    """The known digest of a million `a` (FIPS 180-2, appendix B.3)."""
    (tmp_path / "file").write_bytes(b"a" * 1_000_000)
    expected = "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0"
    assert sha256_file(tmp_path / "file") == expected


@pytest.mark.parametrize(
    "name", ["", ".", "..", "/etc/passwd", "../up", "a/../../up", "a//b", "./a", "a/"]
)
def test_files_stay_below_their_artefact(name: str) -> None:
    """A path that leads elsewhere, or is not normalised, is refused."""
    fields = BUNDLE.model_dump() | {"files": {name: "0" * 64}}
    with pytest.raises(ValidationError, match="not a relative path below"):
        BundleManifest.model_validate(fields)
