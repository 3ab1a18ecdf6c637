"""What every entry point starts from: settings, one run's config, and the adapters between."""

import logging
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.adapters.artifact_store import ArtifactStore
from pipeline.adapters.registry import Registry
from pipeline.adapters.storage import UriStore
from pipeline.artifacts import Artifact, M, WeightsManifest
from pipeline.artifacts import model_name as model_name_of
from pipeline.config import RunConfig, load_config
from pipeline.errors import InvalidInputError
from pipeline.run import RunContext
from pipeline.settings import Settings, load_settings
from pipeline.version import code_version

if TYPE_CHECKING:
    from pipeline.adapters.mlflow_runs import Tracking

log = logging.getLogger(__name__)
ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Job:
    """Settings, config and adapters of one call."""

    config: RunConfig
    settings: Settings
    run: RunContext

    @cached_property
    def store(self) -> ArtifactStore:
        """Where the artefacts are."""
        return open_store(self.settings)

    @cached_property
    def registry(self) -> Registry:
        """The pointer of the config's name."""
        return registry_of(self.config.name, self.store)

    @cached_property
    def tracking(self) -> "Tracking":
        """The experiment of the config's name."""
        from pipeline.adapters.mlflow_runs import Tracking

        return Tracking(self.settings.mlflow_tracking_uri, self.config.name)

    def open(self, uri: str, kind: type[M]) -> Artifact[M]:
        """An artefact of this job's model.

        Raises:
            InvalidInputError: when it is another model's than the config's.
        """
        artifact = self.store.open(uri, kind)
        self.require_model(artifact.manifest.name)
        return artifact

    def require_model(self, name: str) -> None:
        """Refuse to work by this config on the artefacts of another model."""
        if name != self.config.name:
            raise InvalidInputError(
                "the config is another model's",
                expected=f"a config whose contract.name is {name}",
                received=self.config.name,
            )

    def weights(self) -> Artifact[WeightsManifest]:
        """The backbone's weights, brought on first use."""
        from pipeline.modeling.weights import bring_once

        kept = kept_here(self.settings)
        return bring_once(self.settings.weights_uri, kept, store=self.store, run=self.run)


def open_job(config: str, run_id: str, limit: int = 0) -> Job:
    """The job of one entry point call; `config` is a path, looked up in the checkout too."""
    overrides = {"ingest.limit": limit} if limit else {}
    loaded = load_config(config_path(config), overrides)
    return Job(loaded, load_settings(), RunContext.now(run_id, code_version()))


def open_store(settings: Settings | None = None) -> ArtifactStore:
    """The artefacts that the settings name."""
    settings = settings or load_settings()
    return ArtifactStore(UriStore(settings), settings.require_store())


def registry_of(name: str, store: ArtifactStore) -> Registry:
    """Pointer, ledger and refusals of a model name."""
    return Registry(store.objects, store.root, name)


def named_model(name: str, tag: str) -> str:
    """The name of the model that a tag means: the tag's own, else the one given, else MODEL_NAME.

    Args:
        name: given by the caller, may be empty.
        tag: `<name>:<version>`, or a word without a name such as `champion`.

    Raises:
        InvalidInputError: when the name given is not the tag's.
    """
    own = model_name_of(tag)
    if own and name and own != name:
        raise InvalidInputError(
            f"{tag} is a model of another name", expected=f"--name {own}, or none", received=name
        )
    return own or name or model_name()


def kept_here(settings: Settings) -> ArtifactStore:
    """Artefacts on this machine, whatever the settings name: the weights, once brought."""
    return ArtifactStore(UriStore(settings), str(settings.leukoflow_home.resolve() / "kept"))


def config_path(config: str) -> Path:
    """A config named relative to the working folder, else to the checkout."""
    path = Path(config)
    return path if path.is_absolute() or path.is_file() else ROOT / path


def model_name() -> str:
    """The name whose pointer this installation's service follows."""
    return load_settings().model_name


def own_config() -> str:
    """The run config of that name."""
    return load_settings().run_config


def run_configs() -> list[str]:
    """The run configs that are watched: each `configs/NAME.yaml` that is named like its model.

    A variant under another file name shares the model's archives, and would start a second run.
    """
    watched = []
    for path in sorted((ROOT / "configs").glob("*.yaml")):
        try:
            if path.name != "monitoring.yaml" and load_config(path).name == path.stem:
                watched.append(f"configs/{path.name}")
        except InvalidInputError as error:
            log.warning("not watched: %s", error)
    return watched
