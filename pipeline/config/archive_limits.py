"""Limits of an archive, and which of its images are read."""

from pipeline.records import Frozen


class IngestConfig(Frozen):
    """Limits of an archive, checked before anything is written outside the staging folder."""

    max_archive_bytes: int = 4_000_000_000
    max_members: int = 200_000
    max_member_bytes: int = 50_000_000
    max_total_bytes: int = 16_000_000_000
    max_ratio: float = 100.0
    """Maximum ratio of uncompressed to compressed size of a member."""
    group_pattern: str = ""
    """Regular expression with one group, matched against the file name: the slide, patient or
    source cell."""
    limit: int = 0
    """Maximum number of images per class and archive, chosen by hash; 0: all."""
