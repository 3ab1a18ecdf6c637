"""What every entry point starts from: settings, one run's config, and the adapters between."""

import logging
import subprocess
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.adapters.artifact_store import ArtifactStore
from pipeline.adapters.registry import Registry
from pipeline.adapters.storage import UriStore
from pipeline.artifacts import Artifact, WeightsManifest
from pipeline.config import RunConfig, load_config
from pipeline.errors import InvalidInputError
from pipeline.run import RunContext
from pipeline.settings import Settings, load_settings

if TYPE_CHECKING:
    from pipeline.adapters.tracking import Tracking

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
        return Registry(self.store.objects, self.store.root, self.config.name)

    @cached_property
    def tracking(self) -> "Tracking":
        """The experiment of the config's name."""
        from pipeline.adapters.tracking import Tracking

        return Tracking(self.settings.mlflow_tracking_uri, self.config.name)

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


def code_version() -> str:
    """The commit of this checkout, or the installed version outside one."""
    done = subprocess.run(
        ["git", "-C", str(ROOT), "rev-parse", "HEAD"], capture_output=True, text=True, check=False
    )
    if done.returncode == 0:
        return done.stdout.strip()
    from importlib.metadata import version

    return version("leukoflow")
