"""Job: config, settings and stores that an entry point works with."""

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from pipeline.adapters.artifact_store import ArtifactStore
from pipeline.adapters.pointer_store import PointerStore
from pipeline.adapters.storage import UriStore
from pipeline.artifacts import Artifact, M, WeightsManifest
from pipeline.config.archive_limits import ALL_FILES, PathFilter
from pipeline.config.run_config import RunConfig, load_config
from pipeline.entrypoints.config_lookup import config_path
from pipeline.errors import InvalidInputError
from pipeline.run_context import RunContext
from pipeline.settings import Settings, load_settings
from pipeline.version import code_version

if TYPE_CHECKING:
    from pipeline.adapters.tracking.runs import Tracking
LOCAL_STORE = "artifacts"
"""Folder below LEUKOFLOW_HOME; not one of the log folders, whose old files the service deletes."""


@dataclass(frozen=True)
class Job:
    """Config, settings and run of one call; opens stores and MLflow on first use."""

    config: RunConfig
    settings: Settings
    run: RunContext

    @cached_property
    def store(self) -> ArtifactStore:
        """The artefact store at STORE_URI."""
        return open_store(self.settings)

    @cached_property
    def pointers(self) -> PointerStore:
        """The pointer and its ledger, for the config's name."""
        return pointers_of(self.config.name, self.store)

    @cached_property
    def tracking(self) -> "Tracking":
        """The MLflow experiment of the config's name."""
        from pipeline.adapters.tracking.runs import Tracking

        return Tracking(self.settings.mlflow_tracking_uri, self.config.name)

    def open(self, uri: str, kind: type[M]) -> Artifact[M]:
        """Read an artefact's manifest; InvalidInputError if the artefact is of another model."""
        artifact = self.store.open(uri, kind)
        self.require_model(artifact.manifest.name)
        return artifact

    def require_model(self, name: str) -> None:
        """Raise InvalidInputError unless `name` is the config's model."""
        if name != self.config.name:
            raise InvalidInputError(
                f"the config belongs to model {self.config.name}",
                expected=f"a config whose contract.name is {name}",
                received=self.config.name,
            )

    def weights(self) -> Artifact[WeightsManifest]:
        """The ImageNet weights; downloaded and published in the store on first use."""
        from pipeline.modeling.imagenet_weights import ensure_shared_weights

        local = local_store(self.settings)
        return ensure_shared_weights(
            self.settings.weights_uri, local, store=self.store, run=self.run
        )


def open_job(config: str, run_id: str, limit: int = 0, paths: PathFilter = ALL_FILES) -> Job:
    """Load config and settings for one call of an entry point; opens no connection.

    A limit and patterns replace those of the config.
    """
    ingest = ({"limit": limit} if limit else {}) | paths.model_dump()
    overrides = {f"ingest.{name}": value for name, value in ingest.items()}
    loaded = load_config(config_path(config), overrides)
    return Job(loaded, load_settings(), RunContext.now(run_id, code_version()))


def open_store(settings: Settings | None = None) -> ArtifactStore:
    """Artefact store at STORE_URI; InvalidInputError if the setting is empty."""
    settings = settings or load_settings()
    return ArtifactStore(UriStore(settings), settings.require_store())


def pointers_of(name: str, store: ArtifactStore) -> PointerStore:
    """Store of the pointer and ledger of a model name."""
    return PointerStore(store.objects, store.root, name)


def local_store(settings: Settings) -> ArtifactStore:
    """Artefact store in LEUKOFLOW_HOME, for weights and for pages of refused archives."""
    return ArtifactStore(UriStore(settings), str(settings.leukoflow_home.resolve() / LOCAL_STORE))
