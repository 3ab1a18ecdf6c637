"""Error details of responses that have only a status."""

import pytest

from bento_service.http.errors import from_status


@pytest.mark.parametrize(
    ("status", "code"), [(404, "not_found"), (416, "bad_request"), (502, "internal_error")]
)
def test_a_client_error_is_not_called_a_failure_of_the_service(status: int, code: str) -> None:
    """An unlisted 4xx, such as 416 for an unsatisfiable Range, is the client's error."""
    assert from_status(status, expected="", received="GET /").code == code
