"""A refusal proposes class names and patterns; applying a pattern helps."""

import re
from collections.abc import Callable

import pytest
import yaml

from pipeline.adapters.artifact_store import ArtifactStore
from pipeline.config.archive_limits import IngestConfig, PathFilter
from pipeline.config.run_config import RunConfig
from pipeline.errors import InvalidInputError
from pipeline.run_context import RunContext
from pipeline.steps.dataset.ingest import ingest
from pipeline.steps.dataset.proposals import propose_filter
from pipeline.steps.dataset.validate import validate

GOOD = [f"{label}/{n}.png" for label in ("LOBED", "ROUND") for n in range(3)]


@pytest.mark.parametrize(
    ("folder", "unneeded", "expected"),
    [
        ("data/TRAIN/", ["other/JPEGImages/1.png"], PathFilter(include=("data/TRAIN/**",))),
        ("", ["masks/1.png", "masks/2.png"], PathFilter(exclude=("masks/**",))),
        ("", ["slide [a]/1.png"], PathFilter(exclude=("slide [a]/**",))),
        ("", ["1.png"], PathFilter(include=("LOBED/**", "ROUND/**"))),
        ("", ["ROUND/masks/1.png"], PathFilter(exclude=("ROUND/masks/**",))),
        (
            "data/",
            ["data/masks/1.png", "data/1.png", "x/1.png"],
            PathFilter(include=("data/LOBED/**", "data/ROUND/**")),
        ),
        ("", [], None),
        ("", ["ROUND/9.png"], None),
    ],
)
def test_the_shortest_filter_is_proposed(
    folder: str, unneeded: list[str], expected: PathFilter | None
) -> None:
    """Folders are included or excluded; files of one folder cannot be separated."""
    needed = [folder + file for file in GOOD]
    assert propose_filter(needed, unneeded) == expected


def test_twenty_classes_beside_other_folders_have_a_short_filter() -> None:
    """The common folder is included, and what is wrong in it is excluded."""
    needed = [f"data/class {n}/1.png" for n in range(20)]
    chosen = propose_filter(needed, ["data/masks/1.png", "x/1.png", "y/1.png", "1.png"])
    assert chosen == PathFilter(include=("data/**",), exclude=("data/masks/**",))


def test_no_filter_without_a_needed_file() -> None:
    """An archive of other classes has nothing to include."""
    assert propose_filter([], ["x/1.png"]) is None


@pytest.fixture
def whole_download(write_zip: Callable[..., str], draw: Callable[..., bytes]) -> str:
    """Class folders deep in one folder, and other images beside it."""
    members = {f"set-2/images/TRAIN/{file}": draw(n) for n, file in enumerate(GOOD)}
    return write_zip("all.zip", members | {"set-1/JPEGImages/1.png": draw(9)})


@pytest.mark.field("whole_download")
def test_a_refusal_proposes_the_pattern_that_helps(
    whole_download: str, config: RunConfig, store: ArtifactStore, run: RunContext
) -> None:
    """The proposal is YAML; with it the archive is valid and has all the images of the classes."""
    with pytest.raises(InvalidInputError) as refused:
        validate(
            ingest([whole_download], config, store=store, run=run), config, store=store, run=run
        )
    proposal = re.search(r"set ingest\.(\w+: \[[^]]+\])", refused.value.message)
    assert proposal is not None
    assert proposal[1] == "include: ['set-2/images/TRAIN/**']"
    changed = IngestConfig.model_validate(yaml.safe_load(proposal[1]))
    helped = config.model_copy(update={"ingest": changed})
    snapshot = ingest([whole_download], helped, store=store, run=run)
    dataset = validate(snapshot, helped, store=store, run=run)
    assert dataset.manifest.counts == {"images": 6, "quarantined": 0, "ROUND": 3, "LOBED": 3}


@pytest.mark.field("misspelt_class")
def test_a_refusal_proposes_the_class_that_was_meant(
    write_zip: Callable[..., str],
    draw: Callable[..., bytes],
    config: RunConfig,
    store: ArtifactStore,
    run: RunContext,
) -> None:
    """In the reason, in the error and on the page; no pattern leaves the images out."""
    members = {"ROUND/1.png": draw(1), "lobes/1.png": draw(2), "lobes/2.png": draw(3)}
    snapshot = ingest([write_zip("a.zip", members)], config, store=store, run=run)
    with pytest.raises(InvalidInputError) as refused:
        validate(snapshot, config, store=store, run=run)
    message = refused.value.message
    assert "unknown class 'lobes': did you mean LOBED? (2)" in message
    assert "2 images are labelled 'lobes': did you mean LOBED? Then rename the folder" in message
    assert "ingest." not in message
    page = refused.value.page  # type: ignore[attr-defined]
    assert "What would help" in page
    assert "did you mean LOBED?" in page


@pytest.mark.field("foreign_classes")
def test_an_archive_of_other_classes_gets_the_names_of_the_classes(
    write_zip: Callable[..., str],
    draw: Callable[..., bytes],
    config: RunConfig,
    store: ArtifactStore,
    run: RunContext,
) -> None:
    """No pattern would help."""
    members = {f"fold_0/{name}/1.png": draw(n) for n, name in enumerate(("all", "hem"))}
    snapshot = ingest([write_zip("a.zip", members)], config, store=store, run=run)
    with pytest.raises(InvalidInputError, match=r"name the folders ROUND, LOBED, or") as refused:
        validate(snapshot, config, store=store, run=run)
    assert "ingest." not in refused.value.message


@pytest.mark.field("whole_download")
def test_no_pattern_leaves_a_class_without_images(
    write_zip: Callable[..., str],
    draw: Callable[..., bytes],
    config: RunConfig,
    store: ArtifactStore,
    run: RunContext,
) -> None:
    """The other folder may be the missing class under a name that is not similar."""
    members = {f"{name}/1.png": draw(n) for n, name in enumerate(("ROUND", "segmented"))}
    snapshot = ingest([write_zip("a.zip", members)], config, store=store, run=run)
    with pytest.raises(InvalidInputError) as refused:
        validate(snapshot, config, store=store, run=run)
    assert "ingest." not in refused.value.message


@pytest.mark.field("patient_folders")
@pytest.mark.parametrize(
    ("ingestion", "proposed"),
    [({}, True), ({"group_from": "folder"}, False), ({"group_from": "manifest"}, False)],
)
def test_folders_below_the_classes_are_proposed_as_groups(
    ingestion: dict[str, str],
    proposed: bool,
    write_zip: Callable[..., str],
    draw: Callable[..., bytes],
    config: RunConfig,
    store: ArtifactStore,
    run: RunContext,
) -> None:
    """Unless the config says where groups come from; the dataset is valid in any case."""
    members = {
        f"{c}/p{n}/1.png": draw(n + 9 * (c == "ROUND"))
        for c in ("ROUND", "LOBED")
        for n in range(5)
    }
    changed = config.model_copy(update={"ingest": IngestConfig.model_validate(ingestion)})
    snapshot = ingest([write_zip("a.zip", members)], changed, store=store, run=run)
    page = store.read(validate(snapshot, changed, store=store, run=run), "report.html").decode()
    sentence = "Folders below the class folders (p0, p1, p2 and 2 others) are no groups"
    assert (sentence in page) == proposed
