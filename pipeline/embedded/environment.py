"""Environment variables of the processes of the embedded stack."""

import sys
from collections.abc import Mapping
from pathlib import Path

from pydantic import SecretStr

from pipeline.embedded import airflow_home, credentials, ports, seaweedfs_access
from pipeline.embedded.parts import PARTS, ROOT
from pipeline.http.proxies import unusable_socks
from pipeline.settings import Settings
from pipeline.telemetry import TELEMETRY_OFF, loopback_without_proxy

STACK_VARIABLE = "LEUKOFLOW_STACK"
"""Variable that all descendants of a stack inherit; its value is the stack's home."""
PART_VARIABLE = "LEUKOFLOW_PART"
"""Variable with the name of the Procfile line that a process descends from."""

_NOT_INHERITED = (
    "AWS_SESSION_TOKEN",
    "AWS_PROFILE",
    "AWS_DEFAULT_PROFILE",
    "AWS_SECURITY_TOKEN",
    "AWS_ROLE_ARN",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
)
_REGION = "us-east-1"
"""SeaweedFS accepts any region; boto3 requires one."""


def stack_variables(settings: Settings, caller: Mapping[str, str]) -> dict[str, str]:
    """Environment of the stack: the caller's, the Procfile's variables, the secrets of `stack.env`.

    Args:
        settings: as `credentials.prepare` returns them.
        caller: environment of the caller; its AWS session and profile are not inherited, nor is a
            SOCKS proxy that Airflow's HTTP client could not use.
    """
    home = settings.leukoflow_home
    excluded = {*_NOT_INHERITED, *unusable_socks(caller)}
    inherited = {name: value for name, value in caller.items() if name not in excluded}
    return {
        **inherited,
        **TELEMETRY_OFF,
        **credentials.read(home),
        **_settings(settings),
        **_ports(settings),
        **airflow_home.environment(settings),
        **seaweedfs_access.environment(settings),
        STACK_VARIABLE: str(home),
        "S3_BUCKET": seaweedfs_access.bucket(settings),
        "AWS_REGION": settings.aws_region or _REGION,
        "AWS_DEFAULT_REGION": settings.aws_region or _REGION,  # boto3 reads this name
        "BENTOML_HOME": str(settings.bento_home.resolve()),
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        # Otherwise setproctitle (Airflow) overwrites the environment, and STACK_VARIABLE with it.
        "SPT_NOENV": "1",
        # No load balancer on loopback needs the delay, and honcho kills after 5 seconds.
        "DRAIN_SECONDS": caller.get("DRAIN_SECONDS", "0"),
        "PYTHONPATH": _join(str(ROOT), caller.get("PYTHONPATH", ""), ":"),
        "PYTHONUNBUFFERED": "1",
        "PATH": _join(str(Path(sys.executable).parent), caller.get("PATH", ""), ":"),
        **loopback_without_proxy(caller),
    }


def part_variables(variables: Mapping[str, str], name: str) -> dict[str, str]:
    """Environment of one part, from that of the stack; MLflow gets a restricted store key."""
    own = seaweedfs_access.MLFLOW_VARIABLES if name == "mlflow" else {}
    replaced = {variable: variables[source] for variable, source in own.items()}
    return {**variables, **replaced, PART_VARIABLE: name}


def _settings(settings: Settings) -> dict[str, str]:
    """Every setting that is not None as an environment variable; secrets are in plain text."""
    return {
        name.upper(): value.get_secret_value() if isinstance(value, SecretStr) else str(value)
        for name, value in settings
        if value is not None
    }


def _ports(settings: Settings) -> dict[str, str]:
    """Variable to port number, for the ports of all parts."""
    return {
        name: str(number)
        for part in PARTS
        for name, number in ports.variables(part, settings).items()
    }


def _join(first: str, rest: str, separator: str) -> str:
    """Both texts with the separator, or the first one if `rest` is empty."""
    return f"{first}{separator}{rest}" if rest else first
