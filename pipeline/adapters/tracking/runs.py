"""Experiment tracking in MLflow; training continues without it, promotion requires it.

Every call names its run, so tasks share no global active run. A server that is down
raises UnreachableError within seconds (`pipeline.telemetry` sets retries and timeout).
"""

import logging
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.adapters.tracking.errors import errors
from pipeline.adapters.tracking.metric_keys import metric_keys

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from mlflow import MlflowClient

log = logging.getLogger(__name__)

PIPELINE_RUN = "pipeline_run"
"""Tag of an MLflow run: id of the Airflow run or of the command."""
_MAX_TAG_LENGTH = 5000
"""Characters that every MLflow since 1.0 accepts."""
_DELETED = "deleted"
_RUNNING = "attributes.status = 'RUNNING'"
_MAX_TRAINING_MS = 24 * 3600 * 1000
"""Longer than any training: the timeout of `train`, the longest task, is 12 hours."""


class Tracking:
    """One MLflow server and one experiment; every method raises the errors of `errors`."""

    def __init__(self, uri: str, experiment: str) -> None:
        self.uri = uri
        self.experiment = experiment
        self._client = client(uri)

    def require_experiment(self) -> None:
        """Create or restore the experiment, if needed; raises within seconds if MLflow is down."""
        self.experiment_id(create=True)

    def start(self, run_name: str, params: Mapping[str, Any], tags: Mapping[str, str]) -> str:
        """Create a run and return its id; ends RUNNING ones of the same name as FAILED.

        Args:
            run_name: id of the pipeline's run, of which a killed attempt may have left a run.
            params: shown as parameters.
            tags: shown as tags.
        """
        for killed in self._runs(f'tags.{PIPELINE_RUN} = "{_named(run_name)}" and {_RUNNING}'):
            self.finish(killed, "FAILED")
        with errors(self.uri):
            run_id = str(
                self._client.create_run(
                    self.experiment_id(create=True),
                    run_name=run_name,
                    tags={**tags, PIPELINE_RUN: _named(run_name)},
                ).info.run_id
            )
            for name, value in params.items():
                self._client.log_param(run_id, name, value)
        return run_id

    def find(self, pipeline_run: str) -> str:
        """Id of the newest MLflow run of a pipeline run; empty if there is none."""
        found = self._runs(f'tags.{PIPELINE_RUN} = "{_named(pipeline_run)}"')
        return found[0] if found else ""

    def end_abandoned(self) -> list[str]:
        """End runs as FAILED that are RUNNING for more than a day; returns their ids."""
        begun = int(time.time() * 1000) - _MAX_TRAINING_MS
        abandoned = self._runs(f"attributes.start_time < {begun} and {_RUNNING}")
        for run_id in abandoned:
            self.finish(run_id, "FAILED")
        return abandoned

    def experiment_id(self, *, create: bool = False) -> str:
        """Id of the experiment; if there is none, creates it with `create`, else returns ''.

        A deleted one is restored with its runs, and a warning: MLflow keeps its name, so no other
        could be created, and a deleted one accepts nothing.
        """
        with errors(self.uri):
            found = self._client.get_experiment_by_name(self.experiment)
            if found is None:
                return str(self._client.create_experiment(self.experiment)) if create else ""
            if found.lifecycle_stage == _DELETED:
                self._client.restore_experiment(found.experiment_id)
                log.warning("MLflow's experiment %s was deleted: restored it", self.experiment)
            return str(found.experiment_id)

    def experiment_state(self) -> str:
        """`active`, `deleted`, or '' if there is no experiment; changes nothing."""
        with errors(self.uri):
            found = self._client.get_experiment_by_name(self.experiment)
            return str(found.lifecycle_stage) if found is not None else ""

    def is_active(self, run_id: str) -> bool:
        """Whether a run exists and is not deleted; MLflow changes no other."""
        from mlflow.exceptions import MlflowException

        with errors(self.uri):
            try:
                return str(self._client.get_run(run_id).info.lifecycle_stage) != _DELETED
            except MlflowException as error:
                if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                    raise
                return False

    def _runs(self, query: str) -> list[str]:
        """Ids of the runs that match a filter, newest first."""
        experiment = self.experiment_id()
        with errors(self.uri):
            found = self._client.search_runs([experiment], query) if experiment else ()
            return [str(run.info.run_id) for run in found]

    def log_metrics(
        self, run_id: str, metrics: Mapping[str, float], step: int = 0, model_id: str | None = None
    ) -> None:
        """Log one value per metric, under `metric_keys`; with `model_id`, also to that model."""
        from mlflow.entities import Metric

        now, keys = int(time.time() * 1000), metric_keys(metrics)
        with errors(self.uri):
            points = [
                Metric(keys[name], float(value), now, step, model_id=model_id)
                for name, value in metrics.items()
            ]
            self._client.log_batch(run_id, metrics=points)

    def set_tags(self, run_id: str, tags: Mapping[str, str]) -> None:
        """Set tags, each value cut to MLflow's limit; existing ones are replaced."""
        from mlflow.entities import RunTag

        with errors(self.uri):
            entries = [RunTag(name, value[:_MAX_TAG_LENGTH]) for name, value in tags.items()]
            self._client.log_batch(run_id, tags=entries)

    def log_dataset(self, run_id: str, name: str, digest: str, source: str) -> None:
        """Log the dataset of a run."""
        from mlflow.entities import Dataset, DatasetInput, InputTag

        entity = Dataset(name=name, digest=digest[:36], source_type="s3", source=source)
        inputs = [DatasetInput(entity, [InputTag("mlflow.data.context", "training")])]
        with errors(self.uri):
            self._client.log_inputs(run_id, inputs)

    def log_folder(self, run_id: str, folder: Path, path: str) -> None:
        """Upload a folder's files to `path` in the run's artefacts."""
        with errors(self.uri):
            self._client.log_artifacts(run_id, str(folder), path)

    def log_text(self, run_id: str, text: str, path: str) -> None:
        """Upload a text to `path` in the run's artefacts."""
        with errors(self.uri):
            self._client.log_text(run_id, text, path)

    def log_figure(self, run_id: str, figure: "Figure", path: str) -> None:
        """Upload a figure to `path` in the run's artefacts."""
        with errors(self.uri):
            self._client.log_figure(run_id, figure, path)

    def log_table(self, run_id: str, columns: Mapping[str, list[Any]], path: str) -> None:
        """Upload a table, which MLflow's page can show and filter."""
        with errors(self.uri):
            self._client.log_table(run_id, dict(columns), path)

    def log_model(self, run_id: str, model: Any, requirements: list[str]) -> None:
        """Log the Keras model to the run; sets MLflow's global tracking URI and active run."""
        import mlflow

        with errors(self.uri):
            mlflow.set_tracking_uri(self.uri)
            with mlflow.start_run(run_id=run_id):
                mlflow.tensorflow.log_model(model, name="model", pip_requirements=requirements)

    def status(self, run_id: str) -> str:
        """Status of a run: RUNNING, FINISHED or FAILED."""
        with errors(self.uri):
            return str(self._client.get_run(run_id).info.status)

    def finish(self, run_id: str, status: str = "FINISHED") -> None:
        """End a run with a status, FINISHED or FAILED."""
        with errors(self.uri):
            self._client.set_terminated(run_id, status)


def client(uri: str) -> "MlflowClient":
    """A client of an MLflow server; MLflow is imported here."""
    import mlflow

    with errors(uri):
        return mlflow.MlflowClient(tracking_uri=uri)


def _named(pipeline_run: str) -> str:
    """A run's name as a tag, without `"`: MLflow's filters quote with it and cannot escape it."""
    return pipeline_run.replace('"', "'")
