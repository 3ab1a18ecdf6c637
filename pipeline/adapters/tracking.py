"""MLflow as the record of what was tried; it decides nothing, but a promotion waits for it.

Every call names its run, so no global active run is shared between tasks. A server that is down
raises UnreachableError within seconds (retries and time-out are set before MLflow is imported).
"""

import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.errors import UnreachableError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_PATIENCE = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "MLFLOW_ENABLE_ASYNC_LOGGING": "false",
}
CHAMPION = "champion"
_SERVED = "served"


class Tracking:
    """One MLflow server and one experiment."""

    def __init__(self, uri: str, experiment: str) -> None:
        for name, value in _PATIENCE.items():
            os.environ.setdefault(name, value)
        import mlflow

        self._uri = uri
        self._experiment = experiment
        self._client = mlflow.MlflowClient(tracking_uri=uri)

    def reach(self) -> None:
        """Return when the server answers.

        Raises:
            UnreachableError: within seconds, when it does not.
        """
        with _errors(self._uri):
            self._client.search_experiments(max_results=1)

    def start(self, run_name: str, params: Mapping[str, Any], tags: Mapping[str, str]) -> str:
        """Create a run with parameters and tags; returns its id."""
        with _errors(self._uri):
            found = self._client.get_experiment_by_name(self._experiment)
            experiment = (
                found.experiment_id if found else self._client.create_experiment(self._experiment)
            )
            run_id = str(
                self._client.create_run(experiment, run_name=run_name, tags=dict(tags)).info.run_id
            )
            for name, value in params.items():
                self._client.log_param(run_id, name, value)
        return run_id

    def log_metrics(self, run_id: str, metrics: Mapping[str, float], step: int = 0) -> None:
        """Add one point to each curve."""
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        with _errors(self._uri):
            points = [Metric(name, float(value), now, step) for name, value in metrics.items()]
            self._client.log_batch(run_id, metrics=points)

    def set_tags(self, run_id: str, tags: Mapping[str, str]) -> None:
        """Set tags, over earlier ones of the same name."""
        from mlflow.entities import RunTag

        with _errors(self._uri):
            said = [RunTag(name, value) for name, value in tags.items()]
            self._client.log_batch(run_id, tags=said)

    def log_dataset(self, run_id: str, name: str, digest: str, source: str) -> None:
        """Name the dataset a run was made from."""
        from mlflow.entities import Dataset, DatasetInput, InputTag

        entity = Dataset(name=name, digest=digest[:36], source_type="s3", source=source)
        inputs = [DatasetInput(entity, [InputTag("mlflow.data.context", "training")])]
        with _errors(self._uri):
            self._client.log_inputs(run_id, inputs)

    def log_folder(self, run_id: str, folder: Path, path: str) -> None:
        """Upload a folder's files under `path` of the run's artefacts."""
        with _errors(self._uri):
            self._client.log_artifacts(run_id, str(folder), path)

    def log_text(self, run_id: str, text: str, path: str) -> None:
        """Upload a text."""
        with _errors(self._uri):
            self._client.log_text(run_id, text, path)

    def log_figure(self, run_id: str, figure: "Figure", path: str) -> None:
        """Upload a picture."""
        with _errors(self._uri):
            self._client.log_figure(run_id, figure, path)

    def log_table(self, run_id: str, columns: Mapping[str, list[Any]], path: str) -> None:
        """Upload a table that MLflow's page can show and filter."""
        with _errors(self._uri):
            self._client.log_table(run_id, dict(columns), path)

    def log_model(self, run_id: str, model: Any, requirements: list[str]) -> None:
        """Attach the Keras model to the run."""
        import mlflow

        with _errors(self._uri):
            mlflow.set_tracking_uri(self._uri)
            with mlflow.start_run(run_id=run_id):
                mlflow.tensorflow.log_model(model, name="model", pip_requirements=requirements)

    def is_finished(self, run_id: str) -> bool:
        """Whether a run has ended well."""
        with _errors(self._uri):
            return str(self._client.get_run(run_id).info.status) == "FINISHED"

    def finish(self, run_id: str, status: str = "FINISHED") -> None:
        """End a run: FINISHED or FAILED."""
        with _errors(self._uri):
            self._client.set_terminated(run_id, status)

    def champion(self, name: str, run_id: str, tag: str, folder: Path) -> None:
        """Point the registered model's alias at the version with this tag, registering it once.

        Args:
            name: of the registered model.
            run_id: the run that trained it; empty when MLflow was away: it gets one now.
            tag: `<name>:<version>` of the served bundle.
            folder: the served bundle, uploaded where its run lacks it.
        """
        with _errors(self._uri):
            self._ensure_registered(name)
            known = self._client.search_model_versions(f"name='{name}'")
            version = next((v.version for v in known if v.tags.get("tag") == tag), None)
            if version is None:
                version = self._register(name, run_id or self._late_run(tag), tag, folder)
            self._client.set_registered_model_alias(name, CHAMPION, version)

    def _ensure_registered(self, name: str) -> None:
        from mlflow.exceptions import MlflowException

        try:
            self._client.get_registered_model(name)
        except MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
            self._client.create_registered_model(name)

    def _late_run(self, tag: str) -> str:
        run_id = self.start(f"served {tag}", {}, {"tag": tag})
        self.finish(run_id)
        return run_id

    def _register(self, name: str, run_id: str, tag: str, folder: Path) -> str:
        if not self._client.list_artifacts(run_id, _SERVED):
            self._client.log_artifacts(run_id, str(folder), _SERVED)
        source = f"{self._client.get_run(run_id).info.artifact_uri}/{_SERVED}"
        made = self._client.create_model_version(name, source, run_id, tags={"tag": tag})
        return str(made.version)

    def champion_tag(self, name: str) -> str | None:
        """The tag that the alias names now, or None."""
        from mlflow.exceptions import MlflowException

        try:
            with _errors(self._uri):
                found = self._client.get_model_version_by_alias(name, CHAMPION)
        except UnreachableError as error:
            cause = error.__cause__
            if isinstance(cause, MlflowException) and cause.error_code in (
                "RESOURCE_DOES_NOT_EXIST",
                "INVALID_PARAMETER_VALUE",
            ):
                return None
            raise
        return str(found.tags.get("tag"))


@contextmanager
def _errors(uri: str) -> Iterator[None]:
    """Translate MLflow's errors into ours."""
    from mlflow.exceptions import MlflowException

    try:
        yield
    except MlflowException as error:
        raise UnreachableError(f"MLflow at {uri} did not do it: {error}") from error
