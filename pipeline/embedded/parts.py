"""Parts of the embedded stack: Procfile line, address and health check of each server."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from honcho.environ import parse_procfile

from pipeline.errors import InvalidInputError
from pipeline.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
PROCFILE = ROOT / "Procfile"


@dataclass(frozen=True)
class Part:
    """A server of the stack: its Procfile line, title, address and health check."""

    name: str
    """Name of the Procfile line."""
    title: str
    """Name shown to users."""
    setting: str
    """Field of `Settings` with its address."""
    health: str
    """Path that answers 200 when it is healthy."""
    heartbeat: str = ""
    """Component of Airflow's health report, for a part without a port."""

    def url(self, settings: Settings) -> str:
        """Address in the settings, without a trailing slash."""
        return str(getattr(settings, self.setting)).rstrip("/")


_AIRFLOW_HEALTH = "/api/v2/monitor/health"
PARTS = (
    Part("s3", "S3 (SeaweedFS)", "aws_endpoint_url_s3", "/healthz"),
    Part("mlflow", "MLflow", "mlflow_tracking_uri", "/health"),
    Part("airflow-api", "Airflow", "airflow_url", _AIRFLOW_HEALTH),
    Part("airflow-scheduler", "Airflow scheduler", "airflow_url", _AIRFLOW_HEALTH, "scheduler"),
    Part("airflow-dags", "Airflow DAG processor", "airflow_url", _AIRFLOW_HEALTH, "dag_processor"),
    Part("airflow-triggerer", "Airflow triggerer", "airflow_url", _AIRFLOW_HEALTH, "triggerer"),
    # /livez, not /readyz: without a promoted model the service runs but is not ready.
    Part("service", "Service", "service_url", "/livez"),
    Part("reports", "Reports", "reports_url", "/"),
)


def commands(procfile: Path = PROCFILE) -> Mapping[str, str]:
    """Shell command by name, for every line of a Procfile."""
    return dict(parse_procfile(procfile.read_text()).processes)


def parts(procfile: Path = PROCFILE) -> list[Part]:
    """Parts that a Procfile starts, in the order in which their health is checked.

    Raises:
        InvalidInputError: a line has a name that is not in `PARTS`, so it has no health check.
    """
    names = commands(procfile)
    known = {part.name for part in PARTS}
    if unknown := sorted(set(names) - known):
        raise InvalidInputError(
            f"{procfile} has lines without a health check",
            expected=", ".join(sorted(known)),
            received=", ".join(unknown),
        )
    return [part for part in PARTS if part.name in names]


def port(part: Part, settings: Settings) -> int:
    """Port of a part's address; InvalidInputError unless it is a loopback address with a port."""
    address = urlsplit(part.url(settings))
    if address.hostname not in ("127.0.0.1", "localhost") or address.port is None:
        raise InvalidInputError(
            f"the embedded stack runs {part.title} on a loopback port only",
            expected=f"{part.setting.upper()}=http://127.0.0.1:<port>",
            received=part.url(settings),
        )
    return address.port
