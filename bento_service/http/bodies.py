"""Accepted request body of each route: media type, files and size."""

from dataclasses import dataclass


@dataclass(frozen=True)
class BodySpec:
    """The only body that a route accepts."""

    media_type: str
    field: str = ""
    """Name of the file parts; empty for JSON."""
    max_files: int = 1
    size_factor: int = 1
    """Maximum size in units of `MAX_BODY_BYTES`; factors above 1 may use half of the memory for
    all bodies together."""


_FORM, _JSON = "multipart/form-data", "application/json"
BODIES = {
    "/classify": BodySpec(_FORM, "image"),
    "/explain": BodySpec(_FORM, "image"),
    "/differential": BodySpec(_FORM, "images", max_files=500, size_factor=3),
    "/differential/shares": BodySpec(_JSON),
    "/predict": BodySpec(_JSON),
    "/feedback": BodySpec(_JSON),
    "/train": BodySpec(_JSON),
}
