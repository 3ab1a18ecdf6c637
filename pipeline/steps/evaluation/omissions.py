"""Omissions: images of a labelled archive that are not scored, and the reasons."""

import csv
import io
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import TypeGuard

from pipeline.contract.class_names import nearest_classes
from pipeline.records import FileCounts, Frozen, Quarantined, Skipped, escape_formula, n_files
from pipeline.steps.dataset.validation_rules import UNKNOWN_CLASS
from pipeline.steps.evaluation.predictions import Predictions, predictions_csv

SCORED_AS = "scored_as"
"""Column of an archive's predictions: `class`, `unknown class`, or the reason for skipping."""
_MAX_LINES = 12
"""Labels and reasons in a warning; the JSON has all."""
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
    remark: str = ""
    """Sentence with both lists if no label of the archive is a class of the model; else empty."""

    def warnings(self) -> list[str]:
        """The remark, then a line per unknown label, for ignored files and per reason for skipping.

        The largest count is first, and a last line counts the labels and reasons after the
        twelfth. The files of a reason are named, at most fifty.
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
        remark = [self.remark] if self.remark else []
        return [*remark, *_first(unknown, "labels"), *ignored, *_first(skipped, "reasons")]

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
    left_out: Iterable[Quarantined | Skipped],
    classes: Sequence[str],
    *,
    known: int,
    duplicates: int,
) -> Omissions:
    """Count what is left out: by label where the label is no class, else by reason.

    Args:
        left_out: quarantined images of the archive, unreadable ones included, and skipped files.
        classes: of the model.
        known: number of images of these classes.
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
            known += isinstance(image, Quarantined) and image.label in classes
    counts = FileCounts.of(others)
    return Omissions(
        unknown_labels=dict(labels),
        nearest_classes=nearest_classes(labels, classes),
        ignored=counts.ignored,
        skipped=counts.skipped,
        skipped_files=tuple(one for one in others if one.kind == "skipped"),
        duplicates=duplicates,
        remark="" if known or not labels else _no_class(labels, classes),
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
        file, label = escape_formula(image.file), escape_formula(label)
        writer.writerow({"file": file, "label": label, SCORED_AS: image.reason})
    return out.getvalue()


def _no_class(labels: Mapping[str, int], classes: Sequence[str]) -> str:
    names = ", ".join(repr(label) for label, _ in _largest_first(labels)[:_MAX_LINES])
    others = f" and {len(labels) - _MAX_LINES} others" if len(labels) > _MAX_LINES else ""
    return (
        f"no folder of the archive is a class of the model: the labels are {names}{others}, "
        f"the classes {', '.join(classes)}"
    )


def _first(lines: list[str], subject: str) -> list[str]:
    """The first twelve lines, and one that counts the others."""
    others = len(lines) - _MAX_LINES
    return [*lines[:_MAX_LINES], *([f"and {others} other {subject}"] if others > 0 else [])]


def _largest_first(counts: Mapping[str, int]) -> list[tuple[str, int]]:
    return sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))
