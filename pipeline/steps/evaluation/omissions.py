"""What of a labelled archive is not scored as a class of the model: nothing is lost silently."""

import csv
import io
from collections import Counter
from collections.abc import Iterable, Sequence
from difflib import get_close_matches

from pipeline.records import Frozen, Quarantined
from pipeline.steps.dataset.validation_rules import UNKNOWN_CLASS
from pipeline.steps.evaluation.evaluate import predictions_csv
from pipeline.steps.evaluation.predictions import Predictions

SCORED_AS = "scored_as"
"""Column of an archive's predictions: `class`, `unknown class`, or why the image was skipped."""


class Omissions(Frozen):
    """Images of an archive that are not scored as one of the model's classes."""

    unknown_labels: dict[str, int]
    """Label (folder) that is no class of the model, to its number of images."""
    nearest_classes: dict[str, str]
    """Such a label to the class that it may be a misspelling of."""
    skipped: dict[str, int]
    """Why images were skipped, to how many."""
    duplicates: int
    """Copies, byte for byte, of an image under the same label: each image counts once."""

    def warnings(self) -> list[str]:
        """A line for each kind of omission that a caller may not expect, the largest first."""
        unknown = [
            f"{count} images in {label!r} are of no class of the model" + self._hint(label)
            for label, count in _largest_first(self.unknown_labels)
        ]
        skipped = [
            f"{count} images are skipped: {why}" for why, count in _largest_first(self.skipped)
        ]
        return [*unknown, *skipped]

    def _hint(self, label: str) -> str:
        nearest = self.nearest_classes.get(label)
        return f": rename the folder if it means {nearest}" if nearest else ""


def is_unknown(image: Quarantined) -> bool:
    """Whether an image was set aside since its label is no class."""
    return image.reason.startswith(UNKNOWN_CLASS)


def omissions(
    quarantined: Iterable[Quarantined], classes: Sequence[str], duplicates: int = 0
) -> Omissions:
    """Count what was set aside: by label where that is no class, else by reason.

    Args:
        quarantined: of the archive, with what cannot be read among it.
        classes: of the model.
        duplicates: copies that were dropped before.
    """
    labels: Counter[str] = Counter()
    reasons: Counter[str] = Counter()
    for image in quarantined:
        if is_unknown(image):
            labels[image.label] += 1
        else:
            reasons[image.reason] += 1
    nearest = {label: _nearest(label, classes) for label in labels}
    return Omissions(
        unknown_labels=dict(labels),
        nearest_classes={label: name for label, name in nearest.items() if name},
        skipped=dict(reasons),
        duplicates=duplicates,
    )


def archive_csv(known: Predictions, unknown: Predictions, skipped: Iterable[Quarantined]) -> str:
    """`predictions_csv` with a last column `scored_as`, and a row for each skipped image."""
    answered = csv.DictReader(io.StringIO(predictions_csv(known, unknown)))
    out, fields = io.StringIO(), [*(answered.fieldnames or ()), SCORED_AS]
    writer = csv.DictWriter(out, fields, restval="", lineterminator="\n")
    writer.writeheader()
    for index, row in enumerate(answered):
        as_class = index < len(known.records)
        writer.writerow({**row, SCORED_AS: "class" if as_class else "unknown class"})
    for image in skipped:
        writer.writerow({"file": image.file, "label": image.label, SCORED_AS: image.reason})
    return out.getvalue()


def _nearest(label: str, classes: Sequence[str]) -> str:
    """The class whose name is most like a label, or nothing."""
    spelled = {name.casefold(): name for name in classes}
    found = get_close_matches(label.strip().casefold(), spelled, n=1)
    return spelled[found[0]] if found else ""


def _largest_first(counts: dict[str, int]) -> list[tuple[str, int]]:
    return sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))
