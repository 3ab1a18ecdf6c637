"""The service against its own OpenAPI document, by schemathesis with all checks."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import httpx
import pytest

from bento_service.http.bodies import BODIES
from tests.conftest import ROOT
from tests.integration.service.asking import answers
from tests.integration.waiting import wait_for

pytestmark = [pytest.mark.integration, pytest.mark.slow]

HOOKS = "tests.integration.service.schema_hooks"


@pytest.fixture(scope="module")
def served(
    tmp_path_factory: pytest.TempPathFactory,
    make_stage: Callable[[Path], Any],
    serve: Callable[..., AbstractContextManager[str]],
) -> Iterator[str]:
    """URL of a service with a model."""
    folder = tmp_path_factory.mktemp("schema")
    stage = make_stage(folder / "store")
    stage.point_to(stage.publish(folder / "first"))
    with serve(folder, stage.root) as url:
        wait_for(lambda: answers(f"{url}/readyz"))
        yield url


def test_the_service_conforms_to_its_openapi_document(served: str, tmp_path: Path) -> None:
    """Valid requests succeed, invalid ones fail as documented; none is a 500."""
    command = [str(Path(sys.executable).parent / "schemathesis"), "run", f"{served}/docs.json"]
    command += ["--checks=all", "--max-examples=20", "--seed=1", "--request-timeout=120"]
    command += ["--max-response-time=120"]
    command += ["--continue-on-failure", "--no-color", "--warnings=off"]
    done = subprocess.run(
        command,
        env={**os.environ, "SCHEMATHESIS_HOOKS": HOOKS, "PYTHONPATH": str(ROOT)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_route_with_a_body_documents_its_errors(served: str) -> None:
    """Every status, with the one error schema."""
    document = httpx.get(f"{served}/docs.json", timeout=30).json()
    assert document["openapi"] == "3.1.0"
    for path in BODIES:
        responses = document["paths"][path]["post"]["responses"]
        assert responses.keys() >= {"400", "408", "413", "415", "422", "429", "503", "504"}
        refused = {status: response for status, response in responses.items() if int(status) >= 400}
        for response in refused.values():
            schema = response["content"]["application/json"]["schema"]["$ref"]
            assert schema == "#/components/schemas/ErrorBody"
