"""Find the config file, the model name and the file patterns of a call.

Defaults come from MODEL_NAME.
"""

import logging
from collections.abc import Iterable
from pathlib import Path

from pydantic import ValidationError

from pipeline.artifacts import model_name as model_name_of
from pipeline.config.archive_limits import PathFilter
from pipeline.config.run_config import load_config
from pipeline.errors import InvalidInputError
from pipeline.settings import load_settings

ROOT = Path(__file__).resolve().parents[2]

log = logging.getLogger(__name__)


def config_path(config: str) -> Path:
    """Path of a config, relative to the working folder, else to the checkout; may not exist."""
    path = Path(config)
    return path if path.is_absolute() or path.is_file() else ROOT / path


def path_filter(include: Iterable[str] | None, exclude: Iterable[str] | None) -> PathFilter:
    """The patterns of a command or a form; InvalidInputError for an invalid one."""
    try:
        return PathFilter(include=tuple(include or ()), exclude=tuple(exclude or ()))
    except ValidationError as error:
        problem = error.errors()[0]
        raise InvalidInputError(
            f"invalid {problem['loc'][0]} pattern: {problem['msg']}",
            expected="a pattern of paths inside the archive, such as images/TRAIN/**",
            received=repr(problem["input"]),
        ) from error


def resolve_model_name(name: str, tag: str) -> str:
    """Model name: that of `tag`, else `name`, else MODEL_NAME; InvalidInputError if two differ.

    Args:
        name: may be empty.
        tag: `<name>:<version>`, or a word without a name such as `champion`.
    """
    own = model_name_of(tag)
    if own and name and own != name:
        raise InvalidInputError(
            f"{tag} has another model name", expected=f"--name {own}, or none", received=name
        )
    return own or name or default_model_name()


def default_model_name() -> str:
    """The setting MODEL_NAME: the model that the service serves."""
    return load_settings().model_name


def default_config() -> str:
    """Path of the run config `configs/<MODEL_NAME>.yaml`."""
    return load_settings().run_config


def watched_configs() -> list[str]:
    """Paths of the configs whose new archives start training: `configs/NAME.yaml` of model NAME.

    A variant under another file name has the same archives and would start a second run. A config
    that cannot be read is skipped with a warning.
    """
    watched = []
    for path in sorted((ROOT / "configs").glob("*.yaml")):
        try:
            if path.name != "monitoring.yaml" and load_config(path).name == path.stem:
                watched.append(f"configs/{path.name}")
        except InvalidInputError as error:
            log.warning("not watched: %s", error)
    return watched
