"""Images for the demo's drift windows, used neither in training nor in evaluation."""

from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.adapters.artifact_store import ArtifactStore
from pipeline.artifacts import Artifact, ServedManifest, SplitManifest
from pipeline.records import Record
from pipeline.steps.promotion.eligible_cells import select_eligible_cells
from pipeline.steps.promotion.predicted_labels import training_records


@dataclass(frozen=True)
class UnseenImages:
    """Images that the champion was not trained on, and the classes without such images."""

    records: list[Record]
    missing: list[str]

    def __str__(self) -> str:
        """Number of images and cells, as text for the closing table."""
        cells = len({record.cell for record in self.records})
        content = f"{len(self.records)} images of {cells} unseen cells"
        return f"{content} (none of {', '.join(self.missing)})" if self.missing else content


def select_unseen(
    split: Artifact[SplitManifest], served: str, max_images: int, store: ArtifactStore
) -> UnseenImages:
    """Images of a split's reserve, without the cells that the champion was trained on.

    The champion can be of another split, when the gate refused the model of this one.

    Args:
        split: split with the reserve.
        served: URI of the champion's served bundle.
        max_images: limit; the first ones by hash are taken, which spread over the cells.
        store: store of both artefacts.
    """
    records = store.records(split)
    reserve = [record for record in records if record.part == "reserve"]
    seen = training_records(store.open(served, ServedManifest), store)
    _, eligible = select_eligible_cells(reserve, seen, (), ())
    missing = sorted({record.label for record in records} - {record.label for record in eligible})
    return UnseenImages(first_by_hash(eligible, max_images), missing)


def first_by_hash(records: Sequence[Record], max_images: int) -> list[Record]:
    """Up to `max_images` records with the lowest hashes: a reproducible random sample."""
    return sorted(records, key=lambda record: record.sha256)[:max_images]
