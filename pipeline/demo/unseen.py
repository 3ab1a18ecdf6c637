"""Cells for the demo's drift windows: nothing was fitted to them or scored on them."""

from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.adapters.artifact_store import ArtifactStore
from pipeline.artifacts import Artifact, ServedManifest, SplitManifest
from pipeline.records import Record
from pipeline.steps.promotion.eligible_cells import select_eligible_cells
from pipeline.steps.promotion.predicted_labels import training_records


@dataclass(frozen=True)
class Unseen:
    """Images of the reserve that the serving model has not seen, and the classes that lack any."""

    records: list[Record]
    missing: list[str]

    def __str__(self) -> str:
        """What a window of them shows."""
        cells = len({record.cell for record in self.records})
        shown = f"{len(self.records)} images of {cells} cells that nothing was fitted to"
        return f"{shown} (none of {', '.join(self.missing)})" if self.missing else shown


def unseen(split: Artifact[SplitManifest], served: str, most: int, store: ArtifactStore) -> Unseen:
    """The reserve of a split, without the cells that the serving model was trained on.

    That model need not be of this split: the gate may have refused the one that is.

    Args:
        split: whose reserve is wanted.
        served: URI of the bundle that answers.
        most: images, the first ones by hash, so that they spread over the cells.
        store: where both are.
    """
    records = store.records(split)
    reserve = [record for record in records if record.part == "reserve"]
    seen = training_records(store.open(served, ServedManifest), store)
    _, unseen_records = select_eligible_cells(reserve, seen, (), ())
    missing = sorted({r.label for r in records} - {r.label for r in unseen_records})
    return Unseen(first_by_hash(unseen_records, most), missing)


def first_by_hash(records: Sequence[Record], most: int) -> list[Record]:
    """Up to `most` records, spread over their cells."""
    return sorted(records, key=lambda record: record.sha256)[:most]
