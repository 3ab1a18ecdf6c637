"""Stateful test: after any change of the archives, locked images stay in the test part."""

import io
import tempfile
import zipfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule
from PIL import Image

from pipeline.adapters.artifact_store import ArtifactStore
from pipeline.adapters.storage import LocalStore
from pipeline.artifacts import Artifact, GroupingManifest, SplitManifest
from pipeline.config.data_gate_limits import DataGateConfig
from pipeline.config.run_config import RunConfig
from pipeline.config.validation_limits import ValidateConfig
from pipeline.contract.model_contract import ModelContract
from pipeline.digests import sha256_bytes
from pipeline.errors import InvalidInputError
from pipeline.records import ImageMatch, Record, from_csv
from pipeline.run_context import RunContext
from pipeline.sample.archive import draw_images
from pipeline.sample.laboratory import IN_DOMAIN
from pipeline.steps.cells.data_gate import data_gate
from pipeline.steps.cells.group import LOCKED, MATCHES, group
from pipeline.steps.cells.locked_images import LockedImages, read_lock
from pipeline.steps.cells.split import split
from pipeline.steps.dataset.ingest import ingest
from pipeline.steps.dataset.validate import validate
from tests.unit.steps.cells.smears import (
    CELLS,
    CLASSES,
    WORLD,
    Rows,
    archive_of,
    cell_of,
    same_cell,
    write,
)

CONFIG = RunConfig(
    contract=ModelContract(name="cells", classes=CLASSES),
    validation=ValidateConfig(min_images_per_class=1, max_quarantined_share=0.6),
    data_gate=DataGateConfig(max_quarantined_share=0.6),
)
RUN = RunContext.now("test", "test")
cells = st.one_of(
    st.sets(st.integers(0, CELLS - 1), min_size=1, max_size=4),
    st.sets(st.integers(0, CELLS - 1), min_size=14),
)
numbers = st.sampled_from([(0,), (2,), (0, 1), (1, 2)])
namings = st.sampled_from(["nothing", "patients", "cells"])
places = st.integers(0, 5)


class Snapshots(RuleBasedStateMachine):
    """Random changes of `archives/<name>/`, each followed by all steps up to the split."""

    def __init__(self) -> None:
        super().__init__()
        self._folder = tempfile.TemporaryDirectory()
        self._patch = pytest.MonkeyPatch()
        self._patch.setattr("pipeline.steps.cells.group.extract_fingerprint", cell_of)
        self._patch.setattr("pipeline.steps.cells.group.find_matches", same_cell)
        self.store = ArtifactStore(LocalStore(), f"{self._folder.name}/store")
        self.archives: dict[str, Rows] = {}
        self.earlier: list[dict[str, Rows]] = []
        self.results: dict[tuple[str, frozenset[str]], str] = {}

    def teardown(self) -> None:
        """Delete the folder of the example."""
        self._patch.undo()
        self._folder.cleanup()

    @initialize(naming=namings)
    def begin(self, naming: str) -> None:
        """Start with an archive that can be split: two photographs per cell."""
        self.archives["0.zip"] = archive_of(set(range(16)), (0, 1), naming, wrong=False)
        self._train()

    @rule(chosen=cells, taken=numbers, naming=namings, wrong=st.booleans())
    def add(self, chosen: set[int], taken: tuple[int, ...], naming: str, wrong: bool) -> None:
        """Add an archive; some of its photographs or cells may be known."""
        name = f"{len(self.earlier)}.zip"
        self.archives[name] = archive_of(chosen, taken, naming, wrong and len(chosen) < 3)
        self._train()

    @rule(place=places, chosen=cells, taken=numbers, naming=namings)
    def replace(self, place: int, chosen: set[int], taken: tuple[int, ...], naming: str) -> None:
        """Replace an archive by other photographs."""
        name = sorted(self.archives)[place % len(self.archives)]
        self.archives[name] = archive_of(chosen, taken, naming, wrong=False)
        self._train()

    @rule(place=places)
    def remove(self, place: int) -> None:
        """Delete an archive, unless it is the last."""
        if len(self.archives) > 1:
            del self.archives[sorted(self.archives)[place % len(self.archives)]]
        self._train()

    @rule(place=places, row=st.integers(0, 80))
    def relabel(self, place: int, row: int) -> None:
        """Change one label of an archive, to the right or the wrong class."""
        name = sorted(self.archives)[place % len(self.archives)]
        rows = dict(self.archives[name])
        file = sorted(rows)[row % len(rows)]
        data, label, patient, cell = rows[file]
        rows[file] = (data, CLASSES[1 - CLASSES.index(label)], patient, cell)
        self.archives[name] = rows
        self._train()

    @rule(chosen=cells, wrong=st.booleans(), number=st.integers(2, 4))
    def give_back(self, chosen: set[int], wrong: bool, number: int) -> None:
        """Return labels through the service, for known or new photographs, right or wrong."""
        rows = archive_of(chosen, (number,), "nothing", wrong)
        returned = {f"returned/{file[2:]}": row for file, row in rows.items()}
        self.archives[f"returned-{len(self.earlier)}.zip"] = returned
        self._train()

    @rule(place=st.integers(0, 50))
    def go_back(self, place: int) -> None:
        """Restore an earlier state of all archives."""
        self.archives = dict(self.earlier[place % len(self.earlier)])
        self._train()

    def _train(self) -> None:
        """Run all steps up to the split, and check the invariants after each step."""
        self.earlier.append(dict(self.archives))
        before = read_lock("cells", self.store)
        uris = []
        for name, rows in self.archives.items():
            path = Path(self._folder.name) / name
            write(path, rows)
            uris.append(str(path))
        try:
            grouping, gated, parted = self._steps(uris)
        except InvalidInputError as error:
            self._check_refusal(error, before)
            return
        for artifact in (grouping, gated):
            self._check_matches(artifact)
        records = self.store.records(parted)
        self._check_parts(records, before)
        self._check_lock(self.store.records(gated), records, before)
        key = (grouping.manifest.inputs["dataset"], before.hashes)
        assert self.results.setdefault(key, parted.uri) == parted.uri

    def _check_refusal(self, error: InvalidInputError, before: LockedImages) -> None:
        """A refused dataset has a reason, and the lock is unchanged."""
        assert error.message
        assert error.expected
        assert read_lock("cells", self.store).by_hash == before.by_hash

    def _steps(
        self, uris: list[str]
    ) -> tuple[Artifact[GroupingManifest], Artifact[GroupingManifest], Artifact[SplitManifest]]:
        snapshot = ingest(uris, CONFIG, store=self.store, run=RUN)
        dataset = validate(snapshot, CONFIG, store=self.store, run=RUN)
        grouping = group(dataset, CONFIG, store=self.store, run=RUN)
        gated = data_gate(grouping, CONFIG, store=self.store, run=RUN)
        return grouping, gated, split(gated, CONFIG, store=self.store, run=RUN)

    def _check_matches(self, artifact: Artifact[GroupingManifest]) -> None:
        """Both images of a match are in one of the two tables."""
        tables = (self.store.read(artifact, name).decode() for name in ("records.csv", LOCKED))
        listed = {record.sha256 for table in tables for record in from_csv(table, Record)}
        for match in from_csv(self.store.read(artifact, MATCHES).decode(), ImageMatch):
            assert {match.one, match.other} <= listed

    def _check_parts(self, records: list[Record], before: LockedImages) -> None:
        """No group in two parts, no cell in two groups, each class in each part, no locked cell."""
        assert len({(r.group, r.part) for r in records}) == len({r.group for r in records})
        assert len({(r.group, r.cell) for r in records}) == len({r.cell for r in records})
        assert len({(r.label, r.part) for r in records}) == len(CLASSES) * 3
        locked = {WORLD[sha256] for sha256 in before.hashes}
        for record in records:
            if WORLD[record.sha256] in locked or record.named_group in before.groups:
                assert record.part == "test"
            assert not (record.returned and record.part == "test")

    def _check_lock(self, gated: list[Record], records: list[Record], before: LockedImages) -> None:
        """The lock only grows, and no cell with returned labels alone enters it."""
        after = read_lock("cells", self.store)
        assert before.hashes | {r.sha256 for r in records if r.part == "test"} <= after.hashes
        made = {r.group for r in gated if not r.returned}
        locked = {WORLD[sha256] for sha256 in before.hashes}
        for record in gated:
            if record.sha256 in after.hashes - before.hashes:
                assert record.group in made or WORLD[record.sha256] in locked


TestSnapshots = Snapshots.TestCase
TestSnapshots.settings = settings(
    max_examples=20,
    stateful_step_count=8,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)


def test_drawn_archives_come_and_go(tmp_path: Path, store: ArtifactStore) -> None:
    """With the real search: locked cells of a deleted archive do not stop training."""
    first, others = (
        {f"{CLASSES[n % 2]}/{n}.jpeg": drawn for n, (_, drawn) in enumerate(images)}
        for images in (draw_images(4, 8, IN_DOMAIN), draw_images(5, 8, IN_DOMAIN))
    )
    mirrored = {name.replace("jpeg", "png"): _mirrored(data) for name, data in first.items()}
    shown = {sha256_bytes(data): name for name, data in first.items()}
    shown |= {sha256_bytes(data): name.replace("png", "jpeg") for name, data in mirrored.items()}
    archives = {"first": first | mirrored, "others": others, "mirrored": mirrored}
    for name, members in archives.items():
        with zipfile.ZipFile(tmp_path / f"{name}.zip", "w") as archive:
            for member, data in members.items():
                archive.writestr(member, data)
    results: dict[str, str] = {}
    for name in ("first", "others", "mirrored", "first", "others"):
        locked = {shown[sha] for sha in read_lock("cells", store).hashes if sha in shown}
        snapshot = ingest([str(tmp_path / f"{name}.zip")], CONFIG, store=store, run=RUN)
        dataset = validate(snapshot, CONFIG, store=store, run=RUN)
        gated = data_gate(
            group(dataset, CONFIG, store=store, run=RUN), CONFIG, store=store, run=RUN
        )
        parted = split(gated, CONFIG, store=store, run=RUN)
        records = store.records(parted)
        assert not {shown.get(r.sha256) for r in records if r.part != "test"} & locked
        # The data gate's page shows newly locked images; the parts stay the same.
        table = parted.manifest.files["records.csv"]
        assert results.setdefault(name, table) == table
    assert locked


def _mirrored(data: bytes) -> bytes:
    out = io.BytesIO()
    Image.open(io.BytesIO(data)).transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(out, "PNG")
    return out.getvalue()
