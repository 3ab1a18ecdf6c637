"""Omissions: images of a labelled archive that are not scored, and the reasons."""

import csv
import io
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import TypeGuard

from pipeline.contract.class_names import nearest_classes
from pipeline.records import FileCounts, Frozen, Quarantined, Skipped, n_files
from pipeline.steps.dataset.validation_rules import UNKNOWN_CLASS
from pipeline.steps.evaluation.predictions import Predictions, predictions_csv

SCORED_AS = "scored_as"
"""Column of an archive's predictions: `class`, `unknown class`, or the reason for skipping."""
_MAX_NAMES = 50
"""Files that a warning names; the report names all."""


class Omissions(Frozen):
    """Counts of the images of an archive that are not scored as a class of the model."""

    unknown_labels: dict[str, int]
    """Number of images by label (folder), for labels that are no class of the model."""
    nearest_classes: dict[str, str]
    """Unknown label to the class with the most similar name, where one is similar."""
    ignored: dict[str, int]
    """Number of metadata files by reason; `file_policy` has the reasons."""
    skipped: dict[str, int]
    """Number of images without a prediction and of other files, by reason."""
    skipped_files: tuple[Skipped, ...]
    """The files that `skipped` counts."""
    duplicates: int
    """Number of byte-identical copies under the same label; each image counts once."""

    def warnings(self) -> list[str]:
        """One line per unknown label, one for ignored files, and one per reason for skipping.

        The largest count is first; the files of a reason are named, at most fifty.
        """
        unknown = [
            f"{count} images in {label!r} belong to no class of the model" + self._hint(label)
            for label, count in _largest_first(self.unknown_labels)
        ]
        ignored = FileCounts(ignored=self.ignored).lines()
        skipped = [
            f"{n_files(count)} skipped: {reason}: {self._names(reason)}"
            for reason, count in _largest_first(self.skipped)
        ]
        return [*unknown, *ignored, *skipped]

    def _names(self, reason: str) -> str:
        files = [one.file for one in self.skipped_files if one.reason == reason]
        more = [f"and {len(files) - _MAX_NAMES} more"] if len(files) > _MAX_NAMES else []
        return ", ".join([*map(repr, files[:_MAX_NAMES]), *more])

    def _hint(self, label: str) -> str:
        """Question whether the nearest class is meant; '' if no class name is similar."""
        nearest = self.nearest_classes.get(label)
        return f": did you mean {nearest}? Then rename the folder" if nearest else ""


def is_unknown(image: Quarantined | Skipped) -> TypeGuard[Quarantined]:
    """Whether an image was quarantined because its label is no class."""
    return isinstance(image, Quarantined) and image.reason.startswith(UNKNOWN_CLASS)


def omissions(
    left_out: Iterable[Quarantined | Skipped], classes: Sequence[str], duplicates: int = 0
) -> Omissions:
    """Count what is left out: by label where the label is no class, else by reason.

    Args:
        left_out: quarantined images of the archive, unreadable ones included, and skipped files.
        classes: of the model.
        duplicates: number of copies that were dropped before.
    """
    labels: Counter[str] = Counter()
    others: list[Skipped] = []
    for image in left_out:
        if is_unknown(image):
            labels[image.label] += 1
        else:
            kind = image.kind if isinstance(image, Skipped) else "skipped"
            others.append(Skipped(file=image.file, kind=kind, reason=image.reason))
    counts = FileCounts.of(others)
    return Omissions(
        unknown_labels=dict(labels),
        nearest_classes=nearest_classes(labels, classes),
        ignored=counts.ignored,
        skipped=counts.skipped,
        skipped_files=tuple(one for one in others if one.kind == "skipped"),
        duplicates=duplicates,
    )


def archive_csv(
    known: Predictions, unknown: Predictions, skipped: Iterable[Quarantined | Skipped]
) -> str:
    """`predictions_csv` with a last column `scored_as`, and a row for each skipped file.

    Ignored files have no row.
    """
    predictions = csv.DictReader(io.StringIO(predictions_csv(known, unknown)))
    out, fields = io.StringIO(), [*(predictions.fieldnames or ()), SCORED_AS]
    writer = csv.DictWriter(out, fields, restval="", lineterminator="\n")
    writer.writeheader()
    for index, row in enumerate(predictions):
        is_known = index < len(known.records)
        writer.writerow({**row, SCORED_AS: "class" if is_known else "unknown class"})
    for image in skipped:
        if isinstance(image, Skipped) and image.kind == "ignored":
            continue
        label = image.label if isinstance(image, Quarantined) else ""
        writer.writerow({"file": image.file, "label": label, SCORED_AS: image.reason})
    return out.getvalue()


def _largest_first(counts: dict[str, int]) -> list[tuple[str, int]]:
    return sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))
