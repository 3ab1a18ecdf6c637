"""Traffic of the demo: images of an archive, in a format that the service reads."""

import hashlib
import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.adapters.artifact_store import ArtifactStore
from pipeline.adapters.image_packs import write_packs
from pipeline.artifacts import ArchiveManifest
from pipeline.contract.decoding import decode
from pipeline.contract.formats.image_formats import SERVED_FORMATS
from pipeline.demo.traffic import labelled_images, shifted_images
from pipeline.records import Record
from pipeline.run_context import RunContext


def files() -> dict[str, bytes]:
    """An image as TIFF, 16-bit TIFF, JPEG, PNG and BMP, by hash."""
    pixels = np.random.default_rng(3).integers(0, 256, (24, 30, 3), dtype=np.uint8)
    wide = Image.fromarray(pixels[..., 0].astype(np.uint16) * 16)
    images = [(wide, "TIFF"), *((Image.fromarray(pixels), k) for k in ("TIFF", *SERVED_FORMATS))]
    found = {}
    for image, kind in images:
        out = io.BytesIO()
        image.save(out, kind)
        found[hashlib.sha256(out.getvalue()).hexdigest()] = out.getvalue()
    return found


@pytest.mark.field("tiffs")
def test_the_service_reads_all_images_that_the_demo_sends(
    store: ArtifactStore, run: RunContext, tmp_path: Path
) -> None:
    """A TIFF is sent as PNG with the same pixels, every other file as it is."""
    images = files()
    (tmp_path / "packs").mkdir()
    write_packs(tmp_path / "packs", images, images.__getitem__)
    manifest = ArchiveManifest(name="cells", **run.model_dump(), sha256="0", bytes=0)
    archive = store.publish(tmp_path / "packs", manifest).uri
    records = [Record(sha256=sha, label=sha, file=sha, archive=archive) for sha in images]
    for sha, sent in labelled_images(store, records):
        original = images[sha]
        assert (sent == original) == (not original.startswith((b"II*\0", b"MM\0*")))
        np.testing.assert_array_equal(decode(sent, formats=SERVED_FORMATS), decode(original))
    shifted = [
        decode(sent, formats=SERVED_FORMATS) for _, sent in shifted_images(store, records, False)
    ]
    assert [image.shape for image in shifted] == [(24, 30, 3)] * 5
