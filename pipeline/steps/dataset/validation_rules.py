"""Validation rules: limits of one image, of labels, and of the number of images per class."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from pipeline.config.run_config import RunConfig
from pipeline.config.validation_limits import ValidateConfig
from pipeline.contract.class_names import by_canonical, canonical, did_you_mean
from pipeline.contract.decoding import Pixels, decode
from pipeline.errors import InvalidInputError
from pipeline.records import Quarantined, Record

UNKNOWN_CLASS = "unknown class"
"""Prefix of the reason for an image whose label is no class of the config."""
_TOP_REASONS = 3
_AREAS = 64
"""Areas along the shorter side that are compared to find blank images."""
_MIN_CONTRAST = 12
"""Of 255. The palest photograph of two laboratories has 150."""


@dataclass(frozen=True)
class Rule:
    """One condition on a dataset, and whether the dataset passed it."""

    name: str
    expected: str
    received: str
    passed: bool
    problem: str
    """Error message if the rule is broken."""


def quarantine_row(record: Record, reason: str) -> Quarantined:
    """A record's row for `quarantine.csv`."""
    return Quarantined(**record.model_dump(include=set(Quarantined.model_fields)), reason=reason)


def check_image(data: bytes, config: ValidateConfig) -> tuple[Pixels | None, str]:
    """The pixels if the image decodes, and why it is unusable; an empty reason if it is usable.

    The reason names no size of the image, so that equal faults are counted as one reason.
    """
    try:
        image = decode(data)
    except InvalidInputError as error:
        return None, error.message
    height, width = image.shape[:2]
    if height * width > config.max_pixels:
        return image, "the image is too large"
    if min(height, width) < config.min_side:
        return image, f"a side is shorter than {config.min_side} pixels"
    if shows_nothing(image):
        return image, "the image shows nothing"
    return image, ""


def shows_nothing(image: Pixels) -> bool:
    """Whether an image is black, white or of one colour, apart from noise and single pixels.

    That is, the means of some 64 x 64 areas differ by less than `_MIN_CONTRAST` in each channel,
    but for the two lightest and the two darkest, in which a pixel of the sensor may be defect.
    """
    areas = Image.fromarray(image).reduce(max(1, min(image.shape[:2]) // _AREAS))
    means = np.sort(np.asarray(areas).reshape(-1, 3).astype(int), axis=0)
    return bool((means[-3] - means[2]).max() < _MIN_CONTRAST)


def contradicted_reason(labels: Iterable[str]) -> str:
    """The reason to quarantine a returned image that the archives contradict."""
    return f"the returned label contradicts the archives, which say {' and '.join(labels)}"


def match_classes(
    records: Iterable[Record], classes: Sequence[str]
) -> tuple[list[Record], list[Quarantined]]:
    """Records with their class as spelled in the config, and rows whose label is no class.

    `class_names.canonical` says which spellings of a class are equal. The reason for a near miss
    names the nearest class.
    """
    spelling = by_canonical(classes)
    known, unknown = [], []
    for record in records:
        name = spelling.get(canonical(record.label))
        if name is None:
            unknown.append(quarantine_row(record, unknown_reason(record.label, classes)))
        else:
            known.append(record.model_copy(update={"label": name}))
    return known, unknown


def unknown_reason(label: str, classes: Sequence[str]) -> str:
    """The reason to quarantine an image whose label is no class, with a near miss's proposal."""
    question = did_you_mean(label, classes)
    return f"{UNKNOWN_CLASS} {label!r}" + (f": {question}" if question else "")


def resolve_labels(records: Iterable[Record]) -> tuple[list[Record], list[Quarantined]]:
    """One record per image whose label is settled, and the rows of disputed labels.

    A returned label does not overrule the archives: where the archives agree on a label, only the
    returned rows with another label are quarantined.
    """
    rows: dict[str, list[Record]] = defaultdict(list)
    for record in records:
        rows[record.sha256].append(record)
    agreed, disputed = [], []
    for same in rows.values():
        labels = sorted({record.label for record in same})
        archived = [record for record in same if not record.returned]
        if len(labels) == 1:
            agreed.append(same[0])
        elif len({record.label for record in archived}) == 1:
            label = archived[0].label
            agreed.append(archived[0])
            disputed += [
                quarantine_row(record, contradicted_reason([label]))
                for record in same
                if record.label != label
            ]
        else:
            reason = f"the same image is labelled {' and '.join(labels)}"
            disputed += [quarantine_row(record, reason) for record in same]
    return agreed, disputed


def images_per_class(records: Iterable[Record], classes: Sequence[str]) -> dict[str, int]:
    """Number of images of each class, also of empty ones, in the contract's order."""
    counts = Counter(record.label for record in records)
    return {label: counts[label] for label in classes}


def reasons(quarantined: Iterable[Quarantined]) -> list[tuple[str, int]]:
    """Reasons with their number of images, the most frequent first."""
    counts = Counter(image.reason for image in quarantined)
    return sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))


def share_rule(quarantined: int, images: int, max_share: float, problem: str) -> Rule:
    """The limit on the share of quarantined images."""
    share = quarantined / max(images, 1)
    return Rule(
        name="Share of quarantined images",
        expected=f"at most {max_share:.1%}",
        received=f"{share:.1%} of {images}",
        passed=share <= max_share,
        problem=problem,
    )


def count_rules(
    counts: Mapping[str, int], quarantined: Sequence[Quarantined], config: RunConfig
) -> tuple[Rule, Rule]:
    """Rules on the share of quarantined images and on the images of each class, checked."""
    total = sum(counts.values()) + len(quarantined)
    top = "; ".join(f"{reason} ({count})" for reason, count in reasons(quarantined)[:_TOP_REASONS])
    min_images = config.validation.min_images_per_class
    short = [f"{label} {count}" for label, count in counts.items() if count < min_images]
    smallest = min(counts.values(), default=0)
    return (
        share_rule(
            len(quarantined),
            total,
            config.validation.max_quarantined_share,
            f"too many images are quarantined: {top}",
        ),
        Rule(
            name="Images per class",
            expected=f"at least {min_images} of each of {', '.join(counts)}",
            received=", ".join(short) or f"{smallest} or more",
            passed=not short,
            problem="classes have too few images",
        ),
    )
