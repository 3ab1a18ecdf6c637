"""Real parts of the stack on free ports, shared by the integration tests of one run."""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pytest

from pipeline.artifacts import Artifact, BentoManifest
from pipeline.embedded.foreground import on_free_ports, running
from pipeline.run import RunContext
from pipeline.settings import Settings

if TYPE_CHECKING:
    from tests.conftest import Stage


@pytest.fixture(scope="session")
def seaweed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """A real SeaweedFS with an empty bucket `leukoflow`, and the settings that point at it."""
    with running(on_free_ports(tmp_path_factory.mktemp("stack")), "s3") as settings:
        yield settings


@pytest.fixture(scope="session")
def mlflow_server(
    seaweed: Settings, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Settings]:
    """A real MLflow on SQLite whose artefacts are in `seaweed`; its settings and that address."""
    # A home of its own, because a home's processes end together.
    home = tmp_path_factory.mktemp("mlflow")
    own = on_free_ports(home)
    settings = seaweed.model_copy(
        update={"leukoflow_home": home, "mlflow_tracking_uri": own.mlflow_tracking_uri}
    )
    with running(settings, "mlflow"):
        yield seaweed.model_copy(update={"mlflow_tracking_uri": own.mlflow_tracking_uri})


@pytest.fixture(scope="session")
def lasting_stage(
    make_stage: "Callable[..., Stage]", tmp_path_factory: pytest.TempPathFactory
) -> "Stage":
    """A local store that the session shares, for what is dear to make and then only read."""
    return make_stage(tmp_path_factory.mktemp("lasting"))


@pytest.fixture(scope="session")
def built_bento(
    lasting_stage: "Stage", tmp_path_factory: pytest.TempPathFactory
) -> Artifact[BentoManifest]:
    """A Bento of a small model in `lasting_stage`, built by the step and so proved once."""
    from pipeline.steps.build import build

    served = lasting_stage.publish(tmp_path_factory.mktemp("small") / "bundle")
    return build(served, store=lasting_stage.artifacts, run=RunContext.now("test", "test"))
