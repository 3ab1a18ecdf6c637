"""The environment that every process of the embedded stack starts with."""

import sys
from collections.abc import Mapping
from pathlib import Path

from pydantic import SecretStr

from pipeline.embedded import airflow_home, credentials, object_store, ports
from pipeline.embedded.parts import PARTS, ROOT
from pipeline.settings import Settings
from pipeline.telemetry import TELEMETRY_OFF

MARK = "LEUKOFLOW_STACK"
"""Variable that all descendants of a stack inherit, with the stack's home as its value."""

_LEAKING = (
    "AWS_SESSION_TOKEN",
    "AWS_PROFILE",
    "AWS_DEFAULT_PROFILE",
    "AWS_SECURITY_TOKEN",
    "AWS_ROLE_ARN",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
)
_REGION = "us-east-1"
"""SeaweedFS takes any; boto3 wants one."""


def of_stack(settings: Settings, outside: Mapping[str, str]) -> dict[str, str]:
    """Variables for the Procfile's processes, from prepared settings and the caller's own.

    Args:
        settings: as `credentials.prepare` returns them.
        outside: the environment that `up` was called in; real AWS sessions do not get through.
    """
    home = settings.leukoflow_home
    inherited = {name: value for name, value in outside.items() if name not in _LEAKING}
    return {
        **inherited,
        **TELEMETRY_OFF,
        **credentials.read(home),
        **_settings(settings),
        **_ports(settings),
        **airflow_home.environment(settings),
        **object_store.environment(settings),
        MARK: str(home),
        "S3_BUCKET": object_store.bucket(settings),
        "AWS_REGION": settings.aws_region or _REGION,
        "AWS_DEFAULT_REGION": settings.aws_region or _REGION,  # the name that boto3 reads
        "BENTOML_HOME": str(settings.bento_home.resolve()),
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        # setproctitle (Airflow) writes over the environment that MARK is found in.
        "SPT_NOENV": "1",
        # Nobody balances load on loopback, and honcho's patience is 5 seconds.
        "DRAIN_SECONDS": outside.get("DRAIN_SECONDS", "0"),
        "PYTHONPATH": _joined(str(ROOT), outside.get("PYTHONPATH", ""), ":"),
        "PYTHONUNBUFFERED": "1",
        "PATH": _joined(str(Path(sys.executable).parent), outside.get("PATH", ""), ":"),
        "NO_PROXY": _joined("127.0.0.1,localhost", outside.get("NO_PROXY", ""), ","),
        "no_proxy": _joined("127.0.0.1,localhost", outside.get("no_proxy", ""), ","),
    }


def of_part(variables: Mapping[str, str], name: str) -> dict[str, str]:
    """Variables of one line of the Procfile: MLflow gets its own key of the store, no other."""
    own = object_store.MLFLOW_VARIABLES if name == "mlflow" else {}
    return {**variables, **{variable: variables[source] for variable, source in own.items()}}


def _settings(settings: Settings) -> dict[str, str]:
    values = {}
    for name in type(settings).model_fields:
        value = getattr(settings, name)
        text = value.get_secret_value() if isinstance(value, SecretStr) else str(value)
        if value is not None:
            values[name.upper()] = text
    return values


def _ports(settings: Settings) -> dict[str, str]:
    return {
        name: str(number)
        for part in PARTS
        for name, number in ports.variables(part, settings).items()
    }


def _joined(first: str, rest: str, separator: str) -> str:
    return f"{first}{separator}{rest}" if rest else first
