"""Checks of the servers: MLflow, Airflow, the prediction service and the report site."""

from collections.abc import Iterator
from importlib.metadata import version
from typing import Any

import httpx

from pipeline.adapters.airflow_session import AirflowSession
from pipeline.dag_ids import DEPLOYMENT, INGESTION, MONITORING, TRAINING
from pipeline.doctor.finding import Finding, Subject, note, ok, problem, unreachable
from pipeline.errors import InvalidInputError, UnreachableError
from pipeline.http.client import failure, open_client

_TIMEOUT_S = 5
_STARTS = {
    TRAINING: "no training starts",
    INGESTION: "uploaded archives start no training",
    MONITORING: "predictions are not tested for drift",
    DEPLOYMENT: "no Bento and no image are built",
}
"""DAG and what does not happen while it is paused."""


def mlflow(subject: Subject) -> Iterator[Finding]:
    """Whether MLflow responds, accepts this client, and has the model's experiment."""
    uri, meaning = subject.settings.mlflow_tracking_uri.rstrip("/"), "trainings are not tracked"
    if uri.startswith("http"):
        response = _get(subject, "MLflow", "mlflow_tracking_uri", "/health", meaning)
        if isinstance(response, Finding):
            yield response
            return
        if response.status_code == httpx.codes.OK and response.text.strip() != "OK":
            yield _foreign("MLflow", uri, response, meaning)
            return
    yield from _experiment(uri, subject.settings.model_name)


def _experiment(uri: str, name: str) -> Iterator[Finding]:
    """The experiment of a model, as MLflow's client sees it."""
    from pipeline.adapters.tracking.runs import Tracking

    try:
        state = Tracking(uri, name).experiment_state()
    except UnreachableError as error:
        kind = unreachable if error.exit_code == UnreachableError.exit_code else problem
        meaning = "trainings are not tracked, and no model is promoted without --untracked"
        action = error.expected and f"needed: {error.expected}"
        yield kind("MLflow", error.message, meaning, action or "look at the log of MLflow")
        return
    if state == "deleted":
        yield problem(
            "MLflow",
            f"the experiment {name} was deleted on MLflow's page",
            "its runs are hidden; the next training restores it with them",
            "restore it there, or rename it for a new one",
        )
        return
    known = f"experiment {name}" if state else f"no experiment {name} yet"
    yield ok("MLflow", f"{uri}, {known}, client {version('mlflow')}")


def airflow(subject: Subject) -> Iterator[Finding]:
    """Whether Airflow responds and is healthy, accepts the login, and its DAGs are active."""
    url, meaning = subject.settings.airflow_url.rstrip("/"), "nothing is scheduled or triggered"
    response = _get(subject, "Airflow", "airflow_url", "/api/v2/monitor/health", meaning)
    if isinstance(response, Finding):
        yield response
        return
    health = _json(response)
    if "metadatabase" not in health:
        yield _foreign("Airflow", url, response, meaning)
        return
    sick = [
        part
        for part in ("metadatabase", "scheduler", "dag_processor", "triggerer")
        if (health.get(part) or {}).get("status") not in ("healthy", None)
    ]
    if sick:
        yield unreachable(
            "Airflow", f"{', '.join(sick)} not healthy at {url}", meaning, "see their logs; restart"
        )
        return
    yield from _dags(subject)


def _dags(subject: Subject) -> Iterator[Finding]:
    """The login, and each DAG: parsed and not paused."""
    settings, meaning = subject.settings, "`leukoflow retrain` and POST /train cannot start a run"
    if not settings.airflow_password.get_secret_value():
        yield problem("Airflow", "AIRFLOW_PASSWORD is not set", meaning, "export AIRFLOW_PASSWORD")
        return
    session = AirflowSession(settings)
    try:
        states = {dag: session.send("GET", f"/dags/{dag}") for dag in _STARTS}
    except InvalidInputError as error:
        value = f"Airflow refuses the login of {settings.airflow_user}: {error.received}"
        action = "correct AIRFLOW_USER and AIRFLOW_PASSWORD (the stack's own: stack.env)"
        yield problem("Airflow", value, meaning, action)
        return
    except UnreachableError as error:
        yield unreachable("Airflow", error.message, meaning, "look at the log of Airflow")
        return
    yield ok("Airflow", f"{settings.airflow_url}, as {settings.airflow_user}")
    for dag, response in states.items():
        yield from _dag(dag, response)


def _dag(dag: str, response: httpx.Response) -> Iterator[Finding]:
    """A DAG that is paused, or that Airflow does not know."""
    body = _json(response)
    if response.status_code == httpx.codes.NOT_FOUND or body.get("has_import_errors"):
        action = "read the import errors on Airflow's page; a new stack parses them in a minute"
        yield problem("DAGs", f"Airflow has not parsed {dag}", _STARTS[dag], action)
    elif body.get("is_paused"):
        action = f"unpause it on Airflow's page, or `airflow dags unpause {dag}`"
        yield problem("DAGs", f"{dag} is paused", _STARTS[dag], action)


def service(subject: Subject) -> Iterator[Finding]:
    """Whether the prediction service responds, and with which model."""
    settings, meaning = subject.settings, "no image is classified"
    response = _get(subject, "service", "service_url", "/model", meaning)
    if isinstance(response, Finding):
        yield response
        return
    body = _json(response)
    error = body.get("error") if isinstance(body.get("error"), dict) else None
    if response.is_success and "tag" in body:
        yield ok("service", f"{settings.service_url}, {body['tag']}")
    elif error is None:
        yield _foreign("service", settings.service_url, response, meaning)
    elif error.get("code") == "no_model":
        yield note("service", f"{settings.service_url}, without a model", "train and promote one")
    elif response.status_code in (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN):
        action = "export SERVICE_API_KEY with a key of `leukoflow keys add NAME`"
        yield problem(
            "service", str(error.get("message")), "`leukoflow predict` is refused", action
        )
    else:
        yield problem("service", str(error.get("message")), meaning, "see the log of the service")


def reports(subject: Subject) -> Iterator[Finding]:
    """Whether the report site responds."""
    settings, meaning = subject.settings, "links to reports lead nowhere"
    response = _get(subject, "reports", "reports_url", "/healthz", meaning)
    if isinstance(response, Finding):
        yield response
    elif response.status_code != httpx.codes.OK or response.text.strip() != "ok":
        yield _foreign("reports", settings.reports_url, response, meaning)
    else:
        yield ok("reports", settings.reports_url)


def _get(
    subject: Subject, name: str, setting: str, path: str, meaning: str
) -> httpx.Response | Finding:
    """The response of a server, or the finding that it does not respond."""
    url = str(getattr(subject.settings, setting)).rstrip("/")
    key = subject.settings.service_api_key.get_secret_value() if name == "service" else ""
    try:
        with open_client(url, timeout=_TIMEOUT_S) as client:
            return client.get(path, headers={"X-API-Key": key} if key else {})
    except InvalidInputError as error:
        return problem(name, error.message, meaning, f"needed: {error.expected}")
    except (httpx.UnsupportedProtocol, httpx.InvalidURL, ValueError) as error:
        return problem(name, f"{url}: {error}", meaning, f"{setting.upper()}=http://host:port")
    except httpx.HTTPError as error:
        if not subject.expects(setting):
            return note(name, f"not started at {url}", "`make up` starts the stack")
        reason = failure(url, error) if isinstance(error, httpx.TransportError) else str(error)
        action = f"start it (`make up`), or correct {setting.upper()}"
        return unreachable(name, f"{url} does not respond: {reason}", meaning, action)


def _foreign(name: str, url: str, response: httpx.Response, meaning: str) -> Finding:
    """Another program responds at a server's address."""
    text = " ".join(response.text[:80].split())
    value = f"another program responds at {url}: {response.status_code} {text}"
    return unreachable(name, value, meaning, f"stop it, or move {name} to another port")


def _json(response: httpx.Response) -> dict[str, Any]:
    """The JSON object of a response; empty if it has none."""
    try:
        body = response.json()
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}
