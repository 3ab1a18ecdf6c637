"""Checks of the configuration: run configs, MODEL_NAME, API keys."""

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import yaml

from pipeline.adapters import api_key_file
from pipeline.config.run_config import load_config
from pipeline.doctor.finding import Finding, Subject, note, ok, problem
from pipeline.errors import ArtifactError, InvalidInputError

ROOT = Path(__file__).resolve().parents[2]
ADDRESSES = (
    *("mlflow_tracking_uri", "airflow_url", "service_url", "reports_url", "aws_endpoint_url_s3"),
)
"""Settings with the address of a server."""
_HTTP = ("http", "https")
_MONITORING = "monitoring.yaml"


def model(subject: Subject) -> Iterator[Finding]:
    """Whether MODEL_NAME has a config of that model."""
    name = subject.settings.model_name
    path = _found(Path(subject.settings.run_config))
    try:
        own = load_config(path).name
    except InvalidInputError as error:
        if path.is_file():
            meaning = "the weekly training and `leukoflow` without --config fail"
            yield problem("model", str(error), meaning, f"correct {path}")
        else:
            yield _without_config(name)
        return
    if own != name:
        value = f"MODEL_NAME is {name}, but contract.name in {path} is {own}"
        meaning = "the service follows another model than this config trains, and no upload starts"
        yield problem("model", value, meaning, f"write `name: {name}` there, or rename the file")
        return
    yield ok("model", f"{name}, {subject.settings.run_config}")


def _without_config(name: str) -> Finding:
    """MODEL_NAME has no config: it is wrong, or the file is missing."""
    known = sorted(path.stem for path in _configs() if path.name != _MONITORING)
    return problem(
        "model",
        f"MODEL_NAME is {name}, and there is no configs/{name}.yaml",
        "no training finds its config; the service waits for a model of that name",
        f"set MODEL_NAME to one of {', '.join(known)}, or write configs/{name}.yaml",
    )


def configs(_: Subject) -> Iterator[Finding]:
    """Whether every file in `configs/` can be read: an unreadable one is not watched."""
    unreadable = 0
    for path in _configs():
        try:
            if path.name == _MONITORING:
                yaml.safe_load(path.read_text())
            else:
                load_config(path)
        except (InvalidInputError, yaml.YAMLError, OSError, UnicodeDecodeError) as error:
            unreadable += 1
            meaning = "its archives start no training, and monitoring without its own config fails"
            yield problem("configs", f"{path}: {error}", meaning, "correct or remove the file")
    if not unreadable:
        yield ok("configs", ", ".join(path.name for path in _configs()))


def addresses(subject: Subject) -> Iterator[Finding]:
    """Whether every server's address is a URL; MLflow may have a database or another scheme."""
    for setting in ADDRESSES:
        url = str(getattr(subject.settings, setting))
        scheme, rest = url.partition("://")[::2]
        other = setting == "mlflow_tracking_uri" and scheme != url and scheme not in _HTTP
        if not url or other or (scheme in _HTTP and _has_host(url) and rest):
            continue
        value, meaning = f"{setting.upper()} is {url}, which is no address", "nothing can reach it"
        yield problem("addresses", value, meaning, f"{setting.upper()}=http://host:port")


def _has_host(url: str) -> bool:
    """Whether a URL has a host and, if any, a valid port."""
    try:
        parts = urlsplit(url)
        return bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        return False


def api_keys(subject: Subject) -> Iterator[Finding]:
    """Whether the file of API keys can be read."""
    path = subject.settings.keys_file
    meaning = "the service refuses every request with 503 `keys_unreadable`"
    action = "repair it, or remove it and run `leukoflow keys add NAME`"
    try:
        keys = api_key_file.read(path)
    except (ArtifactError, OSError) as error:
        yield problem("API keys", f"{path}: {error}", meaning, action)
        return
    if not path.is_file() and subject.settings.api_keys_file:
        yield problem("API keys", f"API_KEYS_FILE names {path}, which is no file", meaning, action)
    elif keys:
        yield ok("API keys", f"{len(keys)} in {path}")
    else:
        yield note("API keys", "none: the service requires no key", "`leukoflow keys add NAME`")


def _configs() -> list[Path]:
    """Configs of the working folder, else of the checkout."""
    folder = Path("configs") if Path("configs").is_dir() else ROOT / "configs"
    return sorted(folder.glob("*.yaml"))


def _found(path: Path) -> Path:
    """A path in the working folder, else in the checkout; may not exist."""
    return path if path.is_file() else ROOT / path
