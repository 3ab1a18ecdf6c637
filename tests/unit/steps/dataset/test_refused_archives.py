"""A broken archive among good ones: skipped when nobody named it, and listed with its reason."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from pipeline.adapters.artifact_store import ArtifactStore
from pipeline.adapters.storage import LocalStore, ObjectInfo
from pipeline.artifacts import Artifact, SnapshotManifest
from pipeline.config.run_config import RunConfig
from pipeline.errors import BucketError, InvalidInputError, UnreachableError
from pipeline.run_context import RunContext
from pipeline.steps.cells.group import group
from pipeline.steps.dataset.ingest import ingest
from pipeline.steps.dataset.validate import DatasetRefusedError, validate
from pipeline.steps.dataset.watch import claim_archives, mark_seen

WriteZip = Callable[..., str]
Draw = Callable[..., bytes]
Upload = Callable[[str, bytes], str]


@pytest.fixture
def upload(store: ArtifactStore) -> Upload:
    """Function that writes an object into `archives/cells/` and returns its URI."""

    def write(name: str, content: bytes) -> str:
        uri = f"{store.root}/archives/cells/{name}"
        store.objects.write(uri, content)
        return uri

    return write


@pytest.fixture
def good(small_archive: str, upload: Upload) -> str:
    """URI of an uploaded archive that can be ingested."""
    return upload("good.zip", Path(small_archive).read_bytes())


class Counting(LocalStore):
    """A store that counts downloads, fails on some, and loses an object after listing it."""

    def __init__(self, errors: Mapping[str, Exception] | None = None, lost: str = "") -> None:
        self.downloads: list[str] = []
        self._errors, self._lost = errors or {}, lost

    def download(self, uri: str, path: Path) -> None:  # noqa: D102
        self.downloads.append(Path(uri).name)
        if error := self._errors.get(Path(uri).name):
            raise error
        super().download(uri, path)

    def list(self, prefix: str) -> Iterator[ObjectInfo]:  # noqa: D102
        yield from [*super().list(prefix)]
        if self._lost:
            Path(self._lost).unlink(missing_ok=True)


def _reasons(snapshot: Artifact[SnapshotManifest]) -> dict[str, str]:
    return {Path(archive.uri).name: archive.reason for archive in snapshot.manifest.refused}


@pytest.mark.field("broken_zip")
def test_a_broken_archive_among_good_ones_is_skipped(
    good: str,
    upload: Upload,
    write_zip: WriteZip,
    draw: Draw,
    config: RunConfig,
    store: ArtifactStore,
    run: RunContext,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Whatever is wrong with it; the snapshot lists URI, ETag and reason, and the log warns."""
    whole = Path(good).read_bytes()
    unsafe = Path(write_zip("unsafe.zip", {"../../ROUND/a.png": draw(1)})).read_bytes()
    rows = b"file,label\nROUND/absent.png,\n"
    manifest = Path(write_zip("m.zip", {"ROUND/a.png": draw(1), "manifest.csv": rows})).read_bytes()
    expected = {
        "cut.zip": (whole[: len(whole) // 2], "cut.zip cannot be opened"),
        "empty.zip": (b"", "empty.zip cannot be opened"),
        "html.zip": (b"<html>404</html>", "html.zip cannot be opened"),
        "imageless.zip": (Path(write_zip("no.zip", {})).read_bytes(), "contains no images"),
        "manifest.zip": (manifest, "manifest.csv"),
        "packed.7z": (b"7z\xbc\xaf", "expected a zip archive"),
        "unsafe.zip": (unsafe, "the archive is rejected"),
    }
    for name, (content, _) in expected.items():
        upload(name, content)
    snapshot = ingest([], config, store=store, run=run)
    reasons = _reasons(snapshot)
    assert sorted(reasons) == sorted(expected)
    for name, (_, words) in expected.items():
        assert words in reasons[name]
        assert f"skipped {store.root}/archives/cells/{name}" in caplog.text
    etags = {archive.uri: archive.etag for archive in snapshot.manifest.refused}
    assert etags.items() <= {i.uri: i.etag for i in store.objects.list(f"{store.root}/")}.items()
    assert len(snapshot.manifest.archives) == 1
    assert store.records(snapshot) == store.records(ingest([good], config, store=store, run=run))


def test_a_skipped_archive_gives_no_other_model(
    good: str, upload: Upload, config: RunConfig, store: ArtifactStore, run: RunContext
) -> None:
    """The grouping, and so every later artefact, is that without the broken archive."""

    def groupings() -> tuple[str, str]:
        snapshot = ingest([], config, store=store, run=run)
        dataset = validate(snapshot, config, store=store, run=run)
        return snapshot.uri, group(dataset, config, store=store, run=run).uri

    snapshot, grouping = groupings()
    upload("broken.zip", b"broken")
    with_broken, same_grouping = groupings()
    assert (with_broken != snapshot, same_grouping) == (True, grouping)
    assert ingest([good], config, store=store, run=run).uri == snapshot


def test_the_validation_page_lists_skipped_archives_first(
    good: str, upload: Upload, config: RunConfig, store: ArtifactStore, run: RunContext
) -> None:
    """Name and reason, before everything else, also on the page of a refused dataset."""
    upload("<b>broken.zip", b"broken")
    snapshot = ingest([], config, store=store, run=run)
    page = store.read(validate(snapshot, config, store=store, run=run), "report.html").decode()
    start = page.index("1 archive was skipped")
    assert start < page.index("usable images")
    assert "&lt;b&gt;broken.zip cannot be opened" in page[start:]
    strict = config.model_copy(
        update={"validation": config.validation.model_copy(update={"min_images_per_class": 99})}
    )
    with pytest.raises(DatasetRefusedError) as refused:
        validate(snapshot, strict, store=store, run=run)
    assert "1 archive was skipped" in refused.value.page


def test_a_named_broken_archive_stops_the_run(
    good: str, upload: Upload, config: RunConfig, store: ArtifactStore, run: RunContext
) -> None:
    """The reason is that of the archive; nothing else is ingested in its place."""
    broken = upload("broken.zip", b"broken")
    with pytest.raises(InvalidInputError, match=r"broken\.zip cannot be opened"):
        ingest([good, broken], config, store=store, run=run)


def test_when_all_archives_are_broken_every_reason_is_given(
    upload: Upload, config: RunConfig, store: ArtifactStore, run: RunContext
) -> None:
    """There is nothing to train on: one error names each archive with its reason."""
    upload("a.zip", b"")
    upload("b.zip", b"broken")
    with pytest.raises(InvalidInputError, match=r"a\.zip: .*; b\.zip: .*cannot be opened"):
        ingest([], config, store=store, run=run)


def test_an_archive_of_another_program_is_named_if_it_is_the_only_one(
    upload: Upload, config: RunConfig, store: ArtifactStore, run: RunContext
) -> None:
    """A folder with nothing but a RAR is not called empty."""
    upload("cells.rar", b"Rar!")
    upload("readme.txt", b"text")
    with pytest.raises(InvalidInputError, match=r"\*\.zip; received .*cells\.rar$"):
        ingest([], config, store=store, run=run)


def test_a_refused_archive_is_not_downloaded_again(
    good: str, upload: Upload, config: RunConfig, store: ArtifactStore, run: RunContext
) -> None:
    """Until its content, the config or the code version changes; the reason stays the same."""
    upload("broken.zip", b"broken")
    objects = Counting()
    counting = ArtifactStore(objects, store.root)
    first, again = (_reasons(ingest([], config, store=counting, run=run)) for _ in range(2))
    assert first == again
    assert objects.downloads.count("broken.zip") == 1
    longer = config.model_copy(
        update={"ingest": config.ingest.model_copy(update={"max_members": 99})}
    )
    ingest([], longer, store=counting, run=run)
    ingest([], config, store=counting, run=RunContext.now("later", "another version"))
    upload("broken.zip", b"broken otherwise")
    ingest([], config, store=counting, run=run)
    assert objects.downloads.count("broken.zip") == 4
    upload("broken.zip", Path(good).read_bytes())
    assert ingest([], config, store=counting, run=run).manifest.refused == ()


def test_an_archive_that_vanishes_or_denies_access_is_skipped(
    good: str, upload: Upload, config: RunConfig, store: ArtifactStore, run: RunContext
) -> None:
    """Between listing and reading it was removed, or a rule of the bucket denies this object."""
    gone, denied = upload("gone.zip", b"gone"), upload("denied.zip", b"denied")
    denial = BucketError("access to bucket b is denied (403)", received=denied)
    losing = ArtifactStore(Counting({"denied.zip": denial}, lost=gone), store.root)
    reasons = _reasons(ingest([], config, store=losing, run=run))
    assert sorted(reasons) == ["denied.zip", "gone.zip"]
    assert "does not exist" in reasons["gone.zip"]
    assert "denied (403)" in reasons["denied.zip"]


@pytest.mark.parametrize(
    "error",
    [
        UnreachableError("S3 does not respond"),
        BucketError("access is denied", received="s3://b/ingested/cells/x.json"),
    ],
)
def test_an_error_of_the_store_is_not_the_archives(
    error: Exception,
    good: str,
    upload: Upload,
    config: RunConfig,
    store: ArtifactStore,
    run: RunContext,
) -> None:
    """A store that does not respond, or denies writing, stops the run for Airflow's retries."""
    upload("other.zip", b"other")
    failing = ArtifactStore(Counting({"other.zip": error}), store.root)
    with pytest.raises(type(error)):
        ingest([], config, store=failing, run=run)


def test_a_broken_archive_starts_one_run(
    good: str, upload: Upload, config: RunConfig, store: ArtifactStore, run: RunContext
) -> None:
    """The watcher claims it once; after the run that skips it, nothing is new."""
    mark_seen("cells", claim_archives("cells", store=store), store=store)
    broken = upload("broken.zip", b"broken")
    claimed = claim_archives("cells", store=store)
    assert [archive["uri"] for archive in claimed] == [broken]
    mark_seen("cells", claimed, store=store)
    assert list(_reasons(ingest([], config, store=store, run=run))) == ["broken.zip"]
    assert claim_archives("cells", store=store) == []


def test_an_archive_of_other_classes_does_not_block_the_others(
    good: str,
    upload: Upload,
    write_zip: WriteZip,
    draw: Draw,
    config: RunConfig,
    store: ArtifactStore,
    run: RunContext,
) -> None:
    """It is skipped, with the class that may be meant; alone, validation refuses it."""
    images = {f"{label}/{n}.png": draw(n) for n, label in enumerate(["rounds"] * 40 + ["MAST"])}
    foreign = upload("foreign.zip", Path(write_zip("foreign.zip", images)).read_bytes())
    snapshot = ingest([], config, store=store, run=run)
    (reason,) = _reasons(snapshot).values()
    assert "expected one of ROUND, LOBED; received 'rounds', 'MAST'" in reason
    assert "did you mean ROUND?" in reason
    validate(snapshot, config, store=store, run=run)
    with pytest.raises(DatasetRefusedError):
        validate(ingest([foreign], config, store=store, run=run), config, store=store, run=run)
    Path(good).unlink()
    alone = ingest([], config, store=store, run=run)
    assert alone.manifest.refused == ()
    with pytest.raises(DatasetRefusedError):
        validate(alone, config, store=store, run=run)


@pytest.mark.parametrize("pattern", ["(", "no group"])
def test_a_wrong_config_is_not_a_fault_of_the_archives(
    good: str, config: RunConfig, store: ArtifactStore, run: RunContext, pattern: str
) -> None:
    """The run stops with the setting, and no archive is skipped or remembered."""
    changes = {"ingest": config.ingest.model_copy(update={"group_pattern": pattern})}
    with pytest.raises(InvalidInputError, match=r"^invalid value for ingest\.group_pattern"):
        ingest([], config.model_copy(update=changes), store=store, run=run)
    assert list(store.objects.list(f"{store.root}/ingested/")) == []
