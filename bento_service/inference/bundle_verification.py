"""Verification of a bundle folder against its manifest."""

from pathlib import Path

from pydantic import ValidationError

from pipeline.artifacts import MANIFEST, ServedManifest
from pipeline.contract.golden_images import GOLDEN, read_golden
from pipeline.contract.model_contract import ModelContract
from pipeline.digests import require_files
from pipeline.errors import ArtifactError, ChangedArtifactError, MissingArtifactError

CONTRACT = "contract.json"


def verify_bundle(folder: Path) -> ServedManifest:
    """The manifest of a bundle folder; ArtifactError unless files and contract match it exactly."""
    path = folder / MANIFEST
    if not path.is_file():
        raise MissingArtifactError(
            "bundle manifest not found", expected=f"a folder with {MANIFEST}", received=str(folder)
        )
    try:
        manifest = ServedManifest.model_validate_json(path.read_bytes())
    except ValidationError as error:
        raise ArtifactError(f"{path} is invalid: {error}", expected="a bundle manifest") from error
    present = {str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()} - {MANIFEST}
    if present != manifest.files.keys():
        raise ChangedArtifactError(
            f"{folder} does not contain exactly the files of its manifest",
            expected=", ".join(sorted(manifest.files)),
            received=", ".join(sorted(present)),
        )
    require_files(folder, manifest.files)
    _check_contract(folder, manifest)
    return manifest


def _check_contract(folder: Path, manifest: ServedManifest) -> None:
    """Raise ArtifactError unless the contract is current and listed, with golden images."""
    manifest.contract.require_current()
    if CONTRACT not in manifest.files:
        raise MissingArtifactError("the bundle has no contract", expected=CONTRACT)
    if ModelContract.model_validate_json((folder / CONTRACT).read_text()) != manifest.contract:
        raise ChangedArtifactError(f"the manifest's contract is not the one in {CONTRACT}")
    if f"{GOLDEN}/golden.json" not in manifest.files or not read_golden(folder):
        raise ArtifactError("the bundle has no golden images", expected="at least one")
