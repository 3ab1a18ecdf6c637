"""Unusable images are quarantined with a reason; too many of them refuse the dataset."""

import io
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image

from pipeline.adapters.artifact_store import ArtifactStore
from pipeline.config.run_config import RunConfig
from pipeline.config.validation_limits import ValidateConfig
from pipeline.records import Quarantined, Record, from_csv
from pipeline.run_context import RunContext
from pipeline.steps.dataset.ingest import ingest
from pipeline.steps.dataset.validate import DatasetRefusedError, validate
from pipeline.steps.dataset.validation_rules import check_image

WriteZip = Callable[..., str]
Draw = Callable[..., bytes]


@pytest.fixture
def mixed(write_zip: WriteZip, draw: Draw) -> str:
    """Four usable images, and at least one for each reason of quarantine."""
    return write_zip(
        "mixed.zip",
        {
            "ROUND/1.png": draw(1),
            "round/2.png": draw(2),
            "LOBED/3.png": draw(3),
            "Lobed/4.png": draw(4),
            "ROUND/5.png": draw(5, 20),
            "ROUND/6.png": draw(6)[:200],
            "ROUND/<b>7.png": b"<script>alert(1)</script>",
            "SQUARE/8.png": draw(8),
            "ROUND/9.png": draw(9),
            "LOBED/9.png": draw(9),
        },
    )


def _tolerant(config: RunConfig, **changes: object) -> RunConfig:
    return config.model_copy(update={"validation": config.validation.model_copy(update=changes)})


def test_each_fault_has_its_reason(
    mixed: str, config: RunConfig, store: ArtifactStore, run: RunContext
) -> None:
    """Folder names match classes in any case; each other image is quarantined with its reason."""
    snapshot = ingest([mixed], config, store=store, run=run)
    dataset = validate(snapshot, _tolerant(config, max_quarantined_share=0.9), store=store, run=run)
    usable = from_csv(store.read(dataset, "records.csv").decode(), Record)
    quarantined = from_csv(store.read(dataset, "quarantine.csv").decode(), Quarantined)
    assert sorted((r.file, r.label) for r in usable) == [
        ("LOBED/3.png", "LOBED"),
        ("Lobed/4.png", "LOBED"),
        ("ROUND/1.png", "ROUND"),
        ("round/2.png", "ROUND"),
    ]
    assert {(q.file, q.reason) for q in quarantined} == {
        ("ROUND/5.png", "a side is shorter than 32 pixels"),
        ("ROUND/6.png", "the image cannot be read"),
        ("ROUND/<b>7.png", "the image cannot be read"),
        ("SQUARE/8.png", "unknown class 'SQUARE'"),
        ("ROUND/9.png", "the same image is labelled LOBED and ROUND"),
        ("LOBED/9.png", "the same image is labelled LOBED and ROUND"),
    }
    assert dataset.manifest.counts == {"images": 4, "quarantined": 6, "ROUND": 2, "LOBED": 2}


def test_report_shows_counts_and_escapes_names(
    mixed: str, config: RunConfig, store: ArtifactStore, run: RunContext
) -> None:
    """The page is self-contained, shows images that decode, and escapes file names."""
    snapshot = ingest([mixed], config, store=store, run=run)
    dataset = validate(snapshot, _tolerant(config, max_quarantined_share=0.9), store=store, run=run)
    page = store.read(dataset, "report.html").decode()
    # Each usable image has its crop next to it; of six quarantined ones two do not decode.
    usable, quarantined = 4, 4
    assert page.count("data:image/jpeg;base64,") == 2 * usable + quarantined
    assert "can be trained on" in page
    assert "&lt;b&gt;7.png" in page
    assert "<b>7" not in page
    assert "http" not in page.replace(store.root, "")


def test_a_label_of_the_manifest_must_be_a_class(
    write_zip: WriteZip, draw: Draw, config: RunConfig, store: ArtifactStore, run: RunContext
) -> None:
    """`manifest.csv` names classes in any case; an image with another label is quarantined."""
    images = {f"scans/{n}.png": draw(n) for n in range(3)}
    rows = b"file,label\nscans/0.png,round\nscans/1.png,LOBED\nscans/2.png,SQUARE\n"
    archive = write_zip("labelled.zip", {**images, "manifest.csv": rows})
    snapshot = ingest([archive], config, store=store, run=run)
    dataset = validate(snapshot, _tolerant(config, max_quarantined_share=0.5), store=store, run=run)
    quarantined = from_csv(store.read(dataset, "quarantine.csv").decode(), Quarantined)
    assert sorted(record.label for record in store.records(dataset)) == ["LOBED", "ROUND"]
    assert [(q.file, q.reason) for q in quarantined] == [("scans/2.png", "unknown class 'SQUARE'")]


def test_validation_is_repeatable(mixed: str, config: RunConfig, store: ArtifactStore) -> None:
    """Two runs on one snapshot publish the same artefact, report included."""
    tolerant = _tolerant(config, max_quarantined_share=0.9)
    uris = set()
    for name in ("first", "second"):
        run = RunContext.now(name, name)
        snapshot = ingest([mixed], config, store=store, run=run)
        uris.add(validate(snapshot, tolerant, store=store, run=run).uri)
    assert len(uris) == 1


def test_too_many_quarantined_images_refuse_the_dataset(
    mixed: str, config: RunConfig, store: ArtifactStore, run: RunContext
) -> None:
    """The error names the most frequent reasons, and the page shows their images."""
    snapshot = ingest([mixed], config, store=store, run=run)
    with pytest.raises(
        DatasetRefusedError, match=r"labelled LOBED and ROUND.*60.0% of 10"
    ) as refused:
        validate(snapshot, config, store=store, run=run)
    page = refused.value.page
    assert "This dataset was refused" in page
    assert "Unknown class &#39;SQUARE&#39;" in page
    assert page.count("data:image/jpeg;base64,") == 12
    assert not list(store.objects.list(f"{store.root}/dataset/"))


def test_a_class_with_too_few_images_refuses_the_dataset(
    small_archive: str, config: RunConfig, store: ArtifactStore, run: RunContext
) -> None:
    """The error names each short class with its number of images."""
    snapshot = ingest([small_archive], config, store=store, run=run)
    with pytest.raises(
        DatasetRefusedError, match=r"at least 9 of each.*ROUND 8, LOBED 8"
    ) as refused:
        validate(snapshot, _tolerant(config, min_images_per_class=9), store=store, run=run)
    assert refused.value.page.count("1 image missing") == 2


def test_long_narrow_images_fit_on_the_page(
    write_zip: WriteZip, config: RunConfig, store: ArtifactStore, run: RunContext
) -> None:
    """A strip of 40000 pixels is usable, and its picture is scaled down like the others."""
    out = io.BytesIO()
    strip = Image.new("RGB", (40_000, 40), (220, 200, 210))
    strip.paste((120, 60, 150), (100, 10, 130, 30))
    strip.save(out, "PNG")
    archive = write_zip("strip.zip", {"ROUND/1.png": out.getvalue()})
    snapshot = ingest([archive], config, store=store, run=run)
    with pytest.raises(DatasetRefusedError, match="LOBED 0") as refused:
        validate(snapshot, config, store=store, run=run)
    assert len(refused.value.page) < 50_000


@pytest.mark.field("black")
@pytest.mark.parametrize("kind", ["PNG", "JPEG", "BMP", "TIFF"])
@pytest.mark.parametrize("colour", [(0, 0, 0), (255, 255, 255), (128, 128, 128), (230, 200, 210)])
@pytest.mark.parametrize("noise", [0, 3])
def test_an_image_that_shows_nothing_is_unusable(
    kind: str, colour: tuple[int, int, int], noise: int
) -> None:
    """Black, white or of one colour, also with the noise of a sensor and a hot pixel."""
    normal = np.random.default_rng(0).normal(colour, noise, (240, 320, 3))
    pixels = normal.round().clip(0, 255).astype(np.uint8)
    if noise:
        pixels[20, 30] = 255
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, kind)
    assert check_image(out.getvalue(), ValidateConfig())[1] == "the image shows nothing"


def test_a_small_pale_cell_is_something(draw: Callable[..., bytes]) -> None:
    """On a large empty field; so is a drawn cell."""
    pixels = np.full((2048, 2048, 3), 230, np.uint8)
    pixels[1000:1040, 1000:1040] = 190
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "PNG")
    for data in (out.getvalue(), draw(1)):
        assert check_image(data, ValidateConfig())[1] == ""


def test_an_image_over_the_configs_limit_is_quarantined(
    small_archive: str, config: RunConfig, store: ArtifactStore, run: RunContext
) -> None:
    """`max_pixels` below the decoder's limit rejects an image, which the page still shows."""
    snapshot = ingest([small_archive], config, store=store, run=run)
    with pytest.raises(DatasetRefusedError, match=r"the image is too large \(16\)") as refused:
        validate(snapshot, _tolerant(config, max_pixels=48 * 47), store=store, run=run)
    assert refused.value.page.count("data:image/jpeg;base64,") == 12


def test_a_class_may_be_named_as_a_count(
    write_zip: WriteZip, draw: Draw, config: RunConfig, store: ArtifactStore, run: RunContext
) -> None:
    """The totals of the manifest stay totals."""
    contract = config.contract.model_copy(update={"classes": ("images", "quarantined")})
    named = config.model_copy(update={"contract": contract})
    members = {"images/1.png": draw(1), "images/2.png": draw(2), "quarantined/3.png": draw(3)}
    snapshot = ingest([write_zip("a.zip", members)], named, store=store, run=run)
    counts = validate(snapshot, named, store=store, run=run).manifest.counts
    assert counts == {"images": 3, "quarantined": 0}
