"""What each route takes: the one kind of body, and the files in it."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Body:
    """The only body that a route takes."""

    kind: str
    field: str = ""
    """Name of the parts that are files; empty where there are none."""
    most: int = 1
    """How many files there may be."""
    caps: int = 1
    """How large the body may be, in units of the guard's cap; large ones share half of what all
    bodies together may hold."""


_FORM, _JSON = "multipart/form-data", "application/json"
BODIES = {
    "/classify": Body(_FORM, "image"),
    "/explain": Body(_FORM, "image"),
    "/differential": Body(_FORM, "images", most=500, caps=3),
    "/predict": Body(_JSON),
    "/feedback": Body(_JSON),
    "/train": Body(_JSON),
}
