"""Bodies are accepted exactly as their JSON schema says."""

from typing import Any

import pytest
from pydantic import ValidationError

from bento_service.http.schemas import ClassCount


@pytest.mark.parametrize("count", [3, 3.0])
def test_a_count_is_an_integer_as_json_schema_defines_it(count: Any) -> None:
    """JSON has one number type: 3.0 is the integer 3."""
    assert ClassCount(label="A", accepted=count, review=0).accepted == 3


@pytest.mark.parametrize("count", [True, "3", 3.5, -1, None])
def test_any_other_count_is_invalid(count: Any) -> None:
    """Booleans and text are not converted."""
    with pytest.raises(ValidationError):
        ClassCount(label="A", accepted=count, review=0)
