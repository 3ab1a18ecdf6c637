"""Real services on free ports, and other expensive fixtures of the integration tests."""

import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from PIL import Image
from selenium import webdriver

from pipeline.artifacts import Artifact, BentoManifest
from pipeline.embedded.processes.temporary_parts import on_free_ports, running
from pipeline.run_context import RunContext
from pipeline.settings import Settings
from tests.integration.containers.buildah import Buildah, debootstrap
from tests.integration.page.chromium import chromium
from tests.integration.shared import shared_folder

if TYPE_CHECKING:
    from tests.conftest import Stage
    from tests.integration.training.trained import Trained


_LONGEST = ("test_loop.py", "test_cluster.py")
"""Files of several minutes, which run first: at the end, one would keep a single worker busy."""


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Move the longest files to the front, for both workers of `make test`."""
    items.sort(key=lambda item: item.path.name not in _LONGEST)


@pytest.fixture(scope="session")
def seaweed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """A real SeaweedFS with an empty bucket `leukoflow`, and the settings that point at it."""
    with running(on_free_ports(tmp_path_factory.mktemp("stack")), "s3") as settings:
        yield settings


@pytest.fixture(scope="session")
def mlflow_server(
    seaweed: Settings, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Settings]:
    """The settings of `seaweed`, with the address of a real MLflow that stores artefacts there."""
    # A separate home, because all processes of a home are stopped together.
    home = tmp_path_factory.mktemp("mlflow")
    own = on_free_ports(home)
    settings = seaweed.model_copy(
        update={"leukoflow_home": home, "mlflow_tracking_uri": own.mlflow_tracking_uri}
    )
    with running(settings, "mlflow"):
        yield seaweed.model_copy(update={"mlflow_tracking_uri": own.mlflow_tracking_uri})


@pytest.fixture(scope="session")
def trained_untracked(tmp_path_factory: pytest.TempPathFactory) -> "Trained":
    """A training without MLflow, made once per session; tests write to a store of their own."""
    from tests.integration.training.trained import Trained, train_all

    def make(folder: Path) -> None:
        trained = train_all(folder, {"MLFLOW_TRACKING_URI": "http://127.0.0.1:9"})
        (folder / "trained.json").write_text(json.dumps(asdict(trained)))

    folder = shared_folder(tmp_path_factory, "trained", make)
    return Trained(**json.loads((folder / "trained.json").read_text()))


@pytest.fixture(scope="session")
def shared_stage(
    make_stage: "Callable[..., Stage]", tmp_path_factory: pytest.TempPathFactory
) -> "Stage":
    """A local store for expensive artefacts that tests only read."""
    return make_stage(tmp_path_factory.mktemp("shared"))


@pytest.fixture(scope="session")
def built_bento(
    shared_stage: "Stage", tmp_path_factory: pytest.TempPathFactory
) -> Artifact[BentoManifest]:
    """A Bento of a small model in `shared_stage`, which the build step has tested."""
    from pipeline.steps.deployment.build import build

    served = shared_stage.publish(tmp_path_factory.mktemp("small") / "bundle")
    return build(served, store=shared_stage.artifacts, run=RunContext.now("test", "test"))


@pytest.fixture(scope="session")
def buildah(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Buildah]:
    """A builder with the substitute base image; needs root, buildah and debootstrap."""
    builder = Buildah(tmp_path_factory.mktemp("containers"))
    builder.prepare(shared_folder(tmp_path_factory, "debian", debootstrap))
    yield builder
    builder.remove()


@pytest.fixture(scope="session")
def page_url(
    tmp_path_factory: pytest.TempPathFactory,
    make_stage: "Callable[..., Stage]",
    serve: Callable[..., AbstractContextManager[str]],
) -> Iterator[str]:
    """URL of a service with a model named `demo`, for the tests of its page."""
    folder = tmp_path_factory.mktemp("page")
    stage = make_stage(folder / "store", "demo")
    stage.point_to(stage.publish(folder / "built"))
    with serve(folder, stage.root, MODEL_NAME="demo") as url:
        yield url


@pytest.fixture
def browser() -> Iterator[webdriver.Chrome]:
    """A Chromium without access to other hosts."""
    with chromium() as driver:
        yield driver


@pytest.fixture
def files(tmp_path: Path, cell_image: Callable[..., bytes]) -> list[Path]:
    """In a folder `smear`: two cells, a photograph without a cell, and a file that is no image."""
    (tmp_path / "smear").mkdir()
    names = ("first.jpeg", "second.jpeg", "empty.png", "broken.png")
    paths = [tmp_path / "smear" / name for name in names]
    paths[0].write_bytes(cell_image(0))
    paths[1].write_bytes(cell_image(3, shift=-120))
    Image.new("L", (240, 240), 205).save(paths[2])
    paths[3].write_text("not an image")
    return paths
