"""Proposals that would help a refused archive: class names to correct, patterns to set."""

import os
from collections import Counter
from collections.abc import Iterable, Sequence
from glob import escape
from pathlib import PurePosixPath

from pipeline.config.archive_limits import EXCLUDED, NOT_INCLUDED, IngestConfig, PathFilter
from pipeline.config.run_config import RunConfig
from pipeline.contract.class_names import by_canonical, nearest_classes
from pipeline.records import FileCounts, Quarantined, Record
from pipeline.steps.dataset.folder_labels import class_folder, group_of
from pipeline.steps.dataset.validation_rules import UNKNOWN_CLASS

_REMEDIES = {
    "mask": "if masks are photographs of cells, rename their folder or list them in manifest.csv",
    "folder of masks or annotations": "if these are photographs of cells, rename their folder or "
    "list them in manifest.csv",
    "table": "if a table has the labels, name it manifest.csv, with the columns file and label",
    "unknown file type": "if these are images, save them as JPEG or PNG",
    "array or model": "if these are images, save each as JPEG or PNG",
    NOT_INCLUDED: "if these are needed, add a pattern to ingest.include",
    EXCLUDED: "if these are needed, correct ingest.exclude",
}
"""What would help if ingest did not read a needed file, by the reason; not each has a remedy."""
_TOP_REASONS = 3
_NAMED = 3
"""Folders that a sentence names."""
_MAX_PATTERNS = 8
"""Patterns that a proposal may have; more would be a list of the archive's folders."""


def proposals(
    known: Iterable[Record], quarantined: Iterable[Quarantined], classes: Sequence[str]
) -> tuple[str, ...]:
    """Sentences for a person, the most useful first; empty if every label is a class.

    Args:
        known: images whose label is a class.
        quarantined: images of the same archives; only those of an unknown class count.
        classes: of the config.
    """
    unknown = [image for image in quarantined if image.reason.startswith(UNKNOWN_CLASS)]
    counts = Counter(image.label for image in unknown)
    meant = nearest_classes(counts, classes)
    names = [
        f"{counts[label]} images are labelled {label!r}: did you mean {name}? Then rename the "
        "folder, or correct the label in manifest.csv"
        for label, name in sorted(meant.items(), key=lambda pair: -counts[pair[0]])
    ]
    images = list(known)
    present = {record.label for record in images}
    if unknown and not present and not meant:
        return (
            "no folder is a class of the config: name the folders "
            f"{', '.join(classes)}, or give each file's label in manifest.csv",
        )
    unneeded = [image.file for image in unknown if image.label not in meant]
    # Without an image of some class, the other images are more likely needed.
    complete = present == set(classes)
    chosen = propose_filter([one.file for one in images], unneeded) if complete else None
    pattern = [f"to leave out {len(unneeded)} images, {_setting(chosen)}"] if chosen else []
    return (*names, *pattern)


def propose_groups(known: Iterable[Record], config: RunConfig) -> tuple[str, ...]:
    """A sentence if folders below the class folders may be patients, and nothing names groups."""
    records = list(known)
    if config.ingest.group_from != "pattern" or any(record.named_group for record in records):
        return ()
    spelling = by_canonical(config.contract.classes)
    by_folder = IngestConfig(group_from="folder")
    files = [record.file for record in records if class_folder(record.file, spelling)]
    folders = sorted({group_of(file, spelling, by_folder) for file in files} - {""})
    if len(folders) < 2:  # one folder divides nothing
        return ()
    more = f" and {len(folders) - _NAMED} others" if len(folders) > _NAMED else ""
    return (
        f"folders below the class folders ({', '.join(folders[:_NAMED])}{more}) are no groups: if "
        "they are patients or slides, set ingest.group_from: folder",
    )


def propose_reading(left_out: FileCounts) -> dict[str, str]:
    """Reason to what would help, for the three most frequent reasons of files that are not read.

    Metadata needs no remedy, and neither do texts: their reasons are left out.
    """
    return {
        reason: _REMEDIES[reason]
        for reason in list(left_out.skipped)[:_TOP_REASONS]
        if reason in _REMEDIES
    }


def propose_filter(needed: Iterable[str], unneeded: Iterable[str]) -> PathFilter | None:
    """The shortest filter that reads all needed files and no unneeded one; None without one.

    It includes the folders of the needed files, excludes those of the unneeded ones, or both.
    """
    good, bad = sorted(set(needed)), sorted(set(unneeded))
    if not good or not bad:
        return None
    (base,) = _narrowed(["."], good)
    inside = [file for file in bad if PurePosixPath(file).is_relative_to(base)]
    candidates = [
        PathFilter(include=_patterns(_narrowed(_folders_without(good, bad), good))),
        PathFilter(exclude=_patterns(_folders_without(bad, good))),
        PathFilter(include=_patterns([base]), exclude=_patterns(_folders_without(inside, good))),
    ]
    fitting = [one for one in candidates if _divides(one, good, bad)]
    shortest = min(fitting, key=_size, default=None)
    return shortest if shortest and _size(shortest) <= _MAX_PATTERNS else None


def _folders_without(files: Iterable[str], others: Iterable[str]) -> list[str]:
    """The highest folders with a file of `files` and none of `others`."""
    mixed = {str(folder) for file in others for folder in PurePosixPath(file).parents}
    highest = {
        next((str(f) for f in reversed(PurePosixPath(file).parents) if str(f) not in mixed), "")
        for file in files
    }
    return sorted(highest - {""})


def _narrowed(folders: Iterable[str], files: Iterable[str]) -> list[str]:
    """For each folder, the deepest one that has all its files: `data/TRAIN` rather than `data`."""
    parents = {str(PurePosixPath(file).parent) for file in files}
    below = ([p for p in parents if PurePosixPath(p).is_relative_to(f)] for f in folders)
    return [os.path.commonpath(one) or "." for one in below]


def _patterns(folders: Iterable[str]) -> tuple[str, ...]:
    return tuple(f"{escape(f) if '*' in f else f}/**" for f in folders if f != ".")


def _divides(one: PathFilter, needed: Iterable[str], unneeded: Iterable[str]) -> bool:
    """Whether a filter reads every needed file and no unneeded one."""
    return not any(map(one.reason, needed)) and all(map(one.reason, unneeded))


def _size(one: PathFilter) -> int:
    return len(one.include) + len(one.exclude)


def _setting(chosen: PathFilter) -> str:
    """`set ingest.include: ['images/TRAIN/**']`, as YAML reads it."""
    settings = chosen.model_dump().items()
    return "set " + " and ".join(f"ingest.{name}: {list(patterns)}" for name, patterns in settings)
