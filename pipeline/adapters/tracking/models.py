"""Served bundles as MLflow models: logged with their run, registered, the alias `champion`.

A bundle is logged as a pyfunc model without pickle: its files, the modules that predict with it,
and `pipeline.engine.pyfunc` as loader. `mlflow.pyfunc.load_model("models:/<name>@champion")` gives
the service's predictions, also where Leukoflow is not installed.
"""

import shutil
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.adapters.tracking.errors import errors
from pipeline.adapters.tracking.runs import Tracking, client

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion
    from mlflow.models import ModelSignature

CHAMPION = "champion"
LOADER = "pipeline.engine.pyfunc"
CODE = (
    *("__init__.py", "artifacts.py", "digests.py", "errors.py", "records.py", "contract"),
    *(
        "engine/__init__.py",
        "engine/openvino_graph.py",
        "engine/serving_engine.py",
        "engine/pyfunc.py",
    ),
)
"""Modules of `pipeline` that the loader imports; they are stored with the model."""
REQUIREMENTS = ("mlflow", "numpy", "openvino", "pandas", "pillow", "pydantic", "scipy")
_PACKAGE = Path(__file__).resolve().parents[2]
_TAG = "tag"
_LOGGED = "models:/"
"""Prefix of the source of a version that is a logged model; the model's id follows."""


class MlflowModels:
    """Logged and registered models of one name; every method raises the errors of `errors`."""

    def __init__(self, uri: str, name: str) -> None:
        self._uri = uri
        self._name = name
        self._client = client(uri)

    def log(self, run_id: str, tag: str, folder: Path) -> str:
        """Upload a served bundle as a model of a run, unless logged; returns the model's id.

        Args:
            run_id: MLflow run. If the model is logged already, the run shows it as an input.
            tag: `<name>:<version>` of the bundle.
            folder: the fetched bundle with its manifest.
        """
        from mlflow.entities import LoggedModelInput, LoggedModelOutput

        with errors(self._uri):
            if known := self._logged(tag):
                self._client.log_inputs(run_id, models=[LoggedModelInput(known)])
                return known
            model = self._client.create_logged_model(
                self._client.get_run(run_id).info.experiment_id,
                name="served",
                source_run_id=run_id,
                tags={_TAG: tag},
            )
            with tempfile.TemporaryDirectory(prefix="mlflow-") as scratch:
                _save(Path(scratch) / "model", folder, run_id, model.model_id)
                self._client.log_model_artifacts(model.model_id, f"{scratch}/model")
            self._client.finalize_logged_model(model.model_id, "READY")
            self._client.log_outputs(run_id, [LoggedModelOutput(model.model_id, step=0)])
        return str(model.model_id)

    def set_champion(self, run_id: str, tag: str, folder: Path) -> None:
        """Set the alias `champion` to the version of a tag; registers a version if there is none.

        A version whose model cannot be loaded gets a successor: earlier releases registered a
        folder of a run, and a person may have deleted the logged model.

        Args:
            run_id: the run that trained it; one is created if it is empty, because MLflow was
                unreachable, or if the run was deleted.
            tag: `<name>:<version>` of the served bundle.
            folder: the served bundle, uploaded if it is not logged.
        """
        with errors(self._uri):
            self._ensure_registered()
            known = self._client.search_model_versions(f"name='{self._name}'")
            loadable = (v.version for v in known if v.tags.get(_TAG) == tag and self._exists(v))
            version = next(loadable, None) or self._register(run_id, tag, folder)
            self._client.set_registered_model_alias(self._name, CHAMPION, version)

    def _logged(self, tag: str) -> str:
        """Id of the completely uploaded model with this tag; empty if there is none."""
        experiment = Tracking(self._uri, self._name).experiment_id()
        if not experiment:
            return ""
        found = self._client.search_logged_models([experiment], f"tags.{_TAG} = '{tag}'")
        return next((str(model.model_id) for model in found if model.status == "READY"), "")

    def _exists(self, version: "ModelVersion") -> bool:
        """Whether a version is a logged model, not a folder of a run, and was not deleted."""
        from mlflow.exceptions import MlflowException

        source = str(version.source)
        if not source.startswith(_LOGGED):
            return False
        try:
            self._client.get_logged_model(source.removeprefix(_LOGGED))
        except MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
            return False
        return True

    def _ensure_registered(self) -> None:
        """Create the registered model of this name, unless it exists."""
        from mlflow.exceptions import MlflowException

        try:
            self._client.get_registered_model(self._name)
        except MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
            self._create_registered()

    def _create_registered(self) -> None:
        """Create the registered model; another process may create it at the same time."""
        from mlflow.exceptions import MlflowException

        try:
            self._client.create_registered_model(self._name)
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise

    def _register(self, run_id: str, tag: str, folder: Path) -> str:
        """Log the bundle and create a version of it; returns the version's number."""
        if not run_id or not Tracking(self._uri, self._name).is_active(run_id):
            run_id = self._record_finished_run(tag)
        model = self.log(run_id, tag, folder)
        made = self._client.create_model_version(
            self._name, f"{_LOGGED}{model}", run_id, tags={_TAG: tag}, model_id=model
        )
        return str(made.version)

    def _record_finished_run(self, tag: str) -> str:
        """Create and end a run for a model trained without MLflow; returns its id."""
        tracking = Tracking(self._uri, self._name)
        run_id = tracking.start(f"served {tag}", {}, {_TAG: tag})
        tracking.finish(run_id)
        return run_id


def requirements() -> list[str]:
    """Packages that a process needs to load a model, at this process's versions."""
    return [f"{name}=={version(name)}" for name in REQUIREMENTS]


def _save(target: Path, folder: Path, run_id: str, model_id: str) -> None:
    """Write an MLflow model folder around a served bundle, with its code and requirements."""
    import mlflow.pyfunc
    from mlflow.models import Model

    with tempfile.TemporaryDirectory(prefix="mlflow-code-") as scratch:
        mlflow.pyfunc.save_model(
            target,
            loader_module=LOADER,
            data_path=str(folder),
            code_paths=[str(_copy_code(Path(scratch) / "pipeline"))],
            pip_requirements=requirements(),
            signature=_signature(),
            mlflow_model=Model(run_id=run_id, model_id=model_id),
        )


def _copy_code(package: Path) -> Path:
    """Copy the modules that the loader imports into `package`; returns it."""
    for name in CODE:
        source, copy = _PACKAGE / name, package / name
        copy.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, copy, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, copy)
    return package


def _signature() -> "ModelSignature":
    """Inputs and outputs of the pyfunc model, for MLflow's page and its model server."""
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, DataType, Schema
    from mlflow.types.schema import Map

    return ModelSignature(
        inputs=Schema([ColSpec(DataType.binary, "image")]),
        outputs=Schema(
            [
                ColSpec(DataType.string, "label"),
                ColSpec(DataType.string, "decision"),
                ColSpec(DataType.double, "uncertainty"),
                ColSpec(Map(DataType.double), "probabilities"),
            ]
        ),
    )
