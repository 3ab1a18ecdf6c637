"""Fixtures of the unit tests. A test that opens a socket is an integration test."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from pytest_socket import disable_socket, enable_socket

from pipeline.adapters.artifact_store import ArtifactStore
from pipeline.adapters.storage import LocalStore
from pipeline.run_context import RunContext


@pytest.fixture(autouse=True)
def _sockets_off(request: pytest.FixtureRequest) -> Iterator[None]:
    """Block sockets, except Unix sockets for event loops and in tests marked `enable_socket`."""
    if request.node.get_closest_marker("enable_socket") is None:
        disable_socket(allow_unix_socket=True)
    yield
    enable_socket()


@pytest.fixture
def store(tmp_path: Path) -> ArtifactStore:
    """An empty local artefact store."""
    return ArtifactStore(LocalStore(), str(tmp_path / "store"))


@pytest.fixture
def run() -> RunContext:
    """A run with the name and version `test`."""
    return RunContext.now("test", "test")
