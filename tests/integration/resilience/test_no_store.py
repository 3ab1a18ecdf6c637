"""A service without a store: a baked-in model is served, and nothing is stored."""

import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest

if TYPE_CHECKING:
    from tests.conftest import Stage

pytestmark = pytest.mark.integration


def test_a_baked_in_model_serves_without_a_store(
    tmp_path: Path,
    stage: "Stage",
    serve: Callable[..., AbstractContextManager[str]],
    cell_image: Callable[..., bytes],
) -> None:
    """It classifies, warns that nothing is logged, rejects feedback, and writes no file."""
    bundle = stage.artifacts.fetch(stage.publish(tmp_path / "built"), tmp_path / "bundle")
    variables = {"STORE_URI": "", "BUNDLE_DIR": str(bundle), "KEEP_IMAGES": "true"}
    with serve(tmp_path, Path(), **variables) as url:
        answer = httpx.post(f"{url}/classify", files={"image": ("a.jpeg", cell_image(1))})
        assert answer.status_code == 200
        assert httpx.get(f"{url}/readyz").status_code == 200
        assert httpx.get(f"{url}/model").json()["predictions_logged"] is False
        label = {"request_id": answer.json()["request_id"], "label": "MONOCYTE", "reviewer": "me"}
        refused = httpx.post(f"{url}/feedback", json=label)
        assert (refused.status_code, refused.json()["error"]["code"]) == (503, "no_store")
    log = (tmp_path / "service.log").read_text()
    assert "predictions are not logged: STORE_URI is not set" in log
    assert not list((tmp_path / "home").rglob("*"))


def test_neither_model_nor_store_is_an_error_at_start(tmp_path: Path) -> None:
    """The service fails to start and names the missing setting."""
    keep = {name: value for name, value in os.environ.items() if name not in ("STORE_URI",)}
    done = subprocess.run(
        [sys.executable, "-m", "bento_service", "--port", "0"],
        env=keep | {"LEUKOFLOW_HOME": str(tmp_path), "BENTOML_HOME": str(tmp_path / "bentoml")},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 3
    assert "STORE_URI is not set" in done.stderr
