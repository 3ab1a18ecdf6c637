"""Each data step decodes an image at most once."""

import io
from collections import Counter
from collections.abc import Callable

import pytest
from PIL import Image, ImageOps

from pipeline.adapters.artifact_store import ArtifactStore
from pipeline.config.data_gate_limits import DataGateConfig
from pipeline.config.run_config import RunConfig
from pipeline.contract import decoding
from pipeline.digests import sha256_bytes
from pipeline.run_context import RunContext
from pipeline.sample.archive import draw_images
from pipeline.sample.laboratory import IN_DOMAIN
from pipeline.steps.cells.data_gate import data_gate
from pipeline.steps.cells.group import group
from pipeline.steps.dataset.ingest import ingest
from pipeline.steps.dataset.validate import validate

Draw = Callable[..., bytes]


@pytest.fixture
def decodes(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Number of decodes by SHA-256 of the image; clear it before each step."""
    counts: Counter[str] = Counter()
    open_image = decoding._open_image

    def count(data: bytes) -> object:
        counts[sha256_bytes(data)] += 1
        return open_image(data)

    monkeypatch.setattr(decoding, "_open_image", count)
    return counts


def _mirrored(data: bytes) -> bytes:
    out = io.BytesIO()
    ImageOps.mirror(Image.open(io.BytesIO(data))).save(out, "PNG")
    return out.getvalue()


def test_each_step_decodes_an_image_once(
    write_zip: Callable[..., str],
    draw: Draw,
    config: RunConfig,
    store: ArtifactStore,
    run: RunContext,
    decodes: Counter[str],
) -> None:
    """Also an image that several sections of a report show, or that is quarantined."""
    drawn = [data for _, data in draw_images(4, 8, IN_DOMAIN)]
    usable = {f"{('ROUND', 'LOBED')[n % 2]}/{n}.jpeg": data for n, data in enumerate(drawn)}
    mirrored = {"LOBED/of 0.png": _mirrored(drawn[0]), "ROUND/of 1.png": _mirrored(drawn[1])}
    rejected = {
        "SQUARE/1.png": draw(1),
        "ROUND/small.png": draw(2, 20),
        "ROUND/both.png": draw(3),
        "LOBED/both.png": draw(3),
        "ROUND/torn.png": draw(4)[:200],
    }
    tolerant = config.model_copy(
        update={
            "validation": config.validation.model_copy(update={"max_quarantined_share": 0.5}),
            "data_gate": DataGateConfig(max_quarantined_share=0.5),
        }
    )
    snapshot = ingest(
        [write_zip("a.zip", usable | mirrored | rejected)], tolerant, store=store, run=run
    )
    hashes = {sha256_bytes(data) for data in (*drawn, *mirrored.values())}

    decodes.clear()
    dataset = validate(snapshot, tolerant, store=store, run=run)
    rejected_hashes = {sha256_bytes(data) for data in rejected.values()}
    assert decodes == Counter(hashes | rejected_hashes)

    decodes.clear()
    grouping = group(dataset, tolerant, store=store, run=run)
    assert decodes == Counter(hashes)

    decodes.clear()
    passed = data_gate(grouping, tolerant, store=store, run=run)
    assert passed.manifest.counts["quarantined"] == 4
    assert decodes == Counter(sha256_bytes(data) for data in (*drawn[:2], *mirrored.values()))
