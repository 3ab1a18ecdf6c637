"""What a person deleted or renamed on the page of a real MLflow is restored or made again."""

import logging
from pathlib import Path
from typing import TYPE_CHECKING

import mlflow
import pytest

from pipeline.adapters.tracking.models import CHAMPION, MlflowModels
from pipeline.adapters.tracking.runs import Tracking
from pipeline.errors import TrackingError
from pipeline.settings import Settings

if TYPE_CHECKING:
    from tests.conftest import Stage

pytestmark = [pytest.mark.integration, pytest.mark.slow]

TAG = "deletions:1"


@pytest.fixture(scope="module")
def client(mlflow_server: Settings) -> mlflow.MlflowClient:
    """A person's client of that server."""
    return mlflow.MlflowClient(mlflow_server.mlflow_tracking_uri)


def _tracking(client: mlflow.MlflowClient, name: str) -> Tracking:
    return Tracking(str(client.tracking_uri), name)


@pytest.mark.field("deleted_experiment")
def test_a_deleted_experiment_is_restored(
    client: mlflow.MlflowClient, caplog: pytest.LogCaptureFixture
) -> None:
    """Before the next run, and during one; its runs return, and a warning says so."""
    tracking = _tracking(client, "deleted")
    first = tracking.start("first", {}, {})
    for act in (lambda: tracking.start("second", {"a": 1}, {}), tracking.require_experiment):
        client.delete_experiment(tracking.experiment_id())
        with caplog.at_level(logging.WARNING):
            act()
        assert "MLflow's experiment deleted was deleted: restored it" in caplog.text
        caplog.clear()
    client.delete_experiment(tracking.experiment_id())
    assert tracking.find("first") == first
    tracking.log_metrics(first, {"accuracy": 1.0})
    tracking.finish(first)
    assert tracking.status(first) == "FINISHED"


def test_a_renamed_experiment_is_followed_by_a_new_one(client: mlflow.MlflowClient) -> None:
    """A run that is active in the renamed one can be ended by its id."""
    tracking = _tracking(client, "renamed")
    run = tracking.start("first", {}, {})
    client.rename_experiment(tracking.experiment_id(), "other")
    assert tracking.find("first") == ""
    tracking.finish(run)
    assert tracking.find("second") == ""
    assert tracking.start("second", {}, {}) == tracking.find("second")


def test_a_deleted_run_is_a_refusal_with_its_reason(client: mlflow.MlflowClient) -> None:
    """The message names the run and says that it is deleted; nothing is called unreachable."""
    tracking = _tracking(client, "deleted-run")
    run = tracking.start("first", {}, {})
    client.delete_run(run)
    assert not tracking.is_active(run)
    assert not tracking.is_active("0" * 32)
    assert tracking.is_active(tracking.start("second", {}, {}))
    with pytest.raises(TrackingError, match=rf"{run}.*deleted; expected an active run"):
        tracking.log_metrics(run, {"accuracy": 1.0})


@pytest.mark.parametrize("deleted", ["run", "experiment", "registered", "logged"])
def test_the_champion_is_registered_whatever_was_deleted(
    client: mlflow.MlflowClient, stage: "Stage", tmp_path: Path, deleted: str
) -> None:
    """Its run, the experiment, the registered model or the logged one; the alias is set again."""
    name = f"champion-{deleted}"
    tracking, models = _tracking(client, name), MlflowModels(str(client.tracking_uri), name)
    served = stage.publish(tmp_path / "bundle")
    files = stage.artifacts.fetch(served, tmp_path / "served")
    run = tracking.start("training", {}, {})
    models.set_champion(run, TAG, files)
    version = client.get_model_version_by_alias(name, CHAMPION)
    if deleted == "run":
        client.delete_run(run)
        client.delete_registered_model(name)
    elif deleted == "experiment":
        client.delete_experiment(tracking.experiment_id())
        client.delete_registered_model(name)
    elif deleted == "registered":
        client.delete_registered_model(name)
    else:
        client.delete_logged_model(str(version.source).rpartition("/")[2])
    models.set_champion(run, TAG, files)
    champion = client.get_model_version_by_alias(name, CHAMPION)
    assert champion.tags["tag"] == TAG
    assert client.get_logged_model(str(champion.source).rpartition("/")[2]).status == "READY"


def test_an_artefact_location_that_is_gone_is_a_refusal(
    client: mlflow.MlflowClient, tmp_path: Path
) -> None:
    """A location that this process writes itself: the message names it, and what to do."""
    location = tmp_path / "a file"
    location.write_text("")
    client.create_experiment("gone", artifact_location=f"file://{location}/below")
    tracking = _tracking(client, "gone")
    run = tracking.start("first", {}, {})
    with pytest.raises(TrackingError, match=r"artefact location .* cannot be written"):
        tracking.log_text(run, "text", "text.txt")


def test_a_host_that_mlflow_does_not_allow_is_a_refusal(client: mlflow.MlflowClient) -> None:
    """The server refuses a name that is not in MLFLOW_SERVER_ALLOWED_HOSTS; the message says so."""
    uri = str(client.tracking_uri).replace("127.0.0.1", "127.1")
    with pytest.raises(TrackingError, match="MLFLOW_SERVER_ALLOWED_HOSTS"):
        Tracking(uri, "hosts").require_experiment()
