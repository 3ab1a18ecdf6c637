"""Values of the trigger forms as people type them: trimmed, without blanks; null is the default."""

from collections.abc import Mapping
from typing import Any

from pipeline.errors import InvalidInputError


def text(values: Mapping[str, Any], field: str) -> str:
    """The trimmed text of a field; empty for null and blanks."""
    return _trimmed(field, values[field])


def texts(values: Mapping[str, Any], field: str) -> list[str]:
    """The trimmed lines of a field, without blank ones; empty for null.

    Raises:
        InvalidInputError: when a line is not a text.
    """
    lines = (_trimmed(field, line) for line in values[field] or ())
    return [line for line in lines if line]


def _trimmed(field: str, value: object) -> str:
    if value is None:
        return ""
    if not isinstance(value, str):
        raise InvalidInputError(
            f"invalid value in the form's field {field}", expected="text", received=repr(value)
        )
    return value.strip()
