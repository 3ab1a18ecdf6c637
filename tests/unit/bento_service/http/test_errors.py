"""Error details of responses: from a status alone, and from Airflow."""

from types import SimpleNamespace
from typing import Any

import pytest
from starlette.testclient import TestClient

from bento_service.http.errors import from_status
from bento_service.http.routes import create_app
from pipeline.adapters.airflow import AirflowClient
from pipeline.errors import InvalidInputError
from pipeline.settings import Settings


@pytest.mark.parametrize(
    ("status", "code"), [(404, "not_found"), (416, "bad_request"), (502, "internal_error")]
)
def test_a_client_error_is_not_called_a_failure_of_the_service(status: int, code: str) -> None:
    """An unlisted 4xx, such as 416 for an unsatisfiable Range, is the client's error."""
    assert from_status(status, expected="", received="GET /").code == code


def test_a_request_that_airflow_refuses_is_not_an_invalid_image(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """422 `airflow_refused` with Airflow's reason."""

    def refuse(*_: Any, **__: Any) -> None:
        raise InvalidInputError("Airflow refused POST with status 400", received="paused")

    monkeypatch.setattr(AirflowClient, "trigger", refuse)
    app = create_app()
    app.state.serving = SimpleNamespace(settings=Settings(train_api_key="sesame"))
    with TestClient(app) as client:
        response = client.post("/train", json={"reason": "test"}, headers={"x-api-key": "sesame"})
    error = response.json()["error"]
    assert response.status_code == 422
    assert (error["code"], error["received"]) == ("airflow_refused", "paused")
