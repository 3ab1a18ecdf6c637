"""Limits of an archive, which of its images are read, and where their groups come from."""

from typing import Literal

from pydantic import Field

from pipeline.config.path_filter import PathFilter


class IngestConfig(PathFilter):
    """Limits of an archive, checked before anything is written outside the staging folder."""

    max_archive_bytes: int = 4_000_000_000
    max_members: int = 200_000
    max_member_bytes: int = 50_000_000
    max_total_bytes: int = 16_000_000_000
    max_ratio: float = 100.0
    """Maximum ratio of uncompressed to compressed size of a member."""
    group_from: Literal["pattern", "folder", "manifest"] = Field(
        default="pattern", exclude_if=lambda source: source == "pattern"
    )
    """Where a file's group (slide, patient or source cell) comes from if `manifest.csv` names none.
    `pattern`: `group_pattern`. `folder`: the folder below the class folder, `patient_3` of
    `NEUTROPHIL/patient_3/x.jpg`; without a class folder, the file's folder. `manifest`: none."""
    group_pattern: str = ""
    """Regular expression with one group: the slide, patient or source cell. It is searched in the
    file name, then in the whole path."""
    limit: int = 0
    """Maximum number of images per class and archive, chosen by hash; 0: all."""
