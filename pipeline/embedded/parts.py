"""The parts of the embedded stack: what the Procfile starts, where each answers, how it is well."""

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
    """One line of the Procfile."""

    name: str
    """As in the Procfile."""
    title: str
    """As a person calls it."""
    setting: str
    """Field of Settings with the address it answers at."""
    health: str
    """Path that answers 200 once it works."""
    heartbeat: str = ""
    """Component of Airflow's health report, for a part that has no port of its own."""

    def url(self, settings: Settings) -> str:
        """Where it answers, without a slash at the end."""
        return str(getattr(settings, self.setting)).rstrip("/")


_AIRFLOW_HEALTH = "/api/v2/monitor/health"
PARTS = (
    Part("s3", "S3 (SeaweedFS)", "aws_endpoint_url_s3", "/healthz"),
    Part("mlflow", "MLflow", "mlflow_tracking_uri", "/health"),
    Part("airflow-api", "Airflow", "airflow_url", _AIRFLOW_HEALTH),
    Part("airflow-scheduler", "Airflow scheduler", "airflow_url", _AIRFLOW_HEALTH, "scheduler"),
    Part("airflow-dags", "Airflow DAG processor", "airflow_url", _AIRFLOW_HEALTH, "dag_processor"),
    Part("airflow-triggerer", "Airflow triggerer", "airflow_url", _AIRFLOW_HEALTH, "triggerer"),
    # Alive is enough: without a promoted model the service is up and not ready.
    Part("service", "Service", "service_url", "/livez"),
    Part("reports", "Reports", "reports_url", "/"),
)


def commands(procfile: Path = PROCFILE) -> Mapping[str, str]:
    """Name to shell command of every line of a Procfile."""
    lines: dict[str, str] = parse_procfile(procfile.read_text()).processes
    return lines


def parts(procfile: Path = PROCFILE) -> list[Part]:
    """The parts a Procfile starts, in the order in which they are waited for.

    Raises:
        InvalidInputError: when a line starts a part whose health nobody knows.
    """
    named = commands(procfile)
    known = {part.name for part in PARTS}
    if unknown := sorted(set(named) - known):
        raise InvalidInputError(
            f"{procfile} starts unknown parts",
            expected=", ".join(sorted(known)),
            received=", ".join(unknown),
        )
    return [part for part in PARTS if part.name in named]


def port(part: Part, settings: Settings) -> int:
    """The port of a part's address.

    Raises:
        InvalidInputError: when the address is not on loopback, for the stack listens nowhere else.
    """
    address = urlsplit(part.url(settings))
    if address.hostname not in ("127.0.0.1", "localhost") or address.port is None:
        raise InvalidInputError(
            f"the embedded stack cannot run {part.title} there",
            expected=f"{part.setting.upper()}=http://127.0.0.1:<port>",
            received=part.url(settings),
        )
    return address.port
