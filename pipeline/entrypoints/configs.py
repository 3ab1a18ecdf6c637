"""Which config and which model a call means."""

import logging
from pathlib import Path

from pipeline.artifacts import model_name as model_name_of
from pipeline.config import load_config
from pipeline.errors import InvalidInputError
from pipeline.settings import load_settings

ROOT = Path(__file__).resolve().parents[2]

log = logging.getLogger(__name__)


def config_path(config: str) -> Path:
    """A config named relative to the working folder, else to the checkout."""
    path = Path(config)
    return path if path.is_absolute() or path.is_file() else ROOT / path


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
