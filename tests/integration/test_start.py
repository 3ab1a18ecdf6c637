"""What keeps the service from beginning, in real processes."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.integration


def start(*words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run the service's command until it ends by itself."""
    return subprocess.run(
        [sys.executable, "-m", "bento_service", *words],
        env=os.environ | variables,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize("port", ["70000", "http", "-1"])
def test_a_port_that_is_none_is_named(port: str) -> None:
    """The command says what it expected and what it received."""
    done = start(f"--port={port}")
    assert done.returncode == 2
    assert f"expected a number up to 65535, received {port}" in done.stderr


@pytest.mark.slow
def test_a_broken_baked_in_bundle_ends_the_process(
    tmp_path: Path, make_stage: Callable[[Path], Any]
) -> None:
    """It says once what is wrong, and leaves another attempt to whoever started it."""
    stage = make_stage(tmp_path / "origin")
    bundle = stage.artifacts.fetch(stage.publish(tmp_path / "built"), tmp_path / "bundle")
    (bundle / "model.xml").write_text("<net/>")
    home = {"LEUKOFLOW_HOME": str(tmp_path / "home"), "STORE_URI": str(tmp_path / "store")}
    done = start("--port=0", BUNDLE_DIR=str(bundle), **home)
    assert done.returncode == 3
    assert "model.xml does not match its manifest" in done.stderr
    assert done.stderr.count("Application startup failed") == 1
