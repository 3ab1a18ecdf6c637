"""Checks of the servers against small HTTP servers."""

from collections.abc import Callable

import pytest

from pipeline.doctor import servers
from pipeline.doctor.finding import Finding, Subject

Examined = Callable[..., Subject]
Respond = Callable[..., str]
CHECKS = {
    "MLFLOW_TRACKING_URI": servers.mlflow,
    "AIRFLOW_URL": servers.airflow,
    "SERVICE_URL": servers.service,
    "REPORTS_URL": servers.reports,
}
HEALTHY = {part: {"status": "healthy"} for part in ("metadatabase", "scheduler", "dag_processor")}
DAG = {"is_paused": False, "has_import_errors": False}
pytestmark = pytest.mark.enable_socket


@pytest.mark.parametrize("variable", CHECKS)
def test_a_server_that_does_not_respond_is_exit_code_3_if_it_is_expected(
    examined: Examined, variable: str
) -> None:
    """If the environment has its address; a stack that nobody started is no problem."""
    subject = examined(**{variable: "http://127.0.0.1:9"})
    (finding,) = CHECKS[variable](subject)
    assert (finding.state, finding.exit_code) == ("problem", 3)
    assert variable in finding.action
    (idle,) = CHECKS[variable](Subject(subject.settings, {}))
    assert (idle.state, idle.action) == ("note", "`make up` starts the stack")


@pytest.mark.parametrize("variable", CHECKS)
@pytest.mark.parametrize("status", [200, 404])
def test_another_program_on_the_port_is_named(
    examined: Examined, respond: Respond, variable: str, status: int
) -> None:
    """With the start of its response."""
    url = respond({"*": (status, "<html>router</html>")})
    (finding,) = CHECKS[variable](examined(**{variable: url}))
    assert finding.state == "problem"
    assert "another program responds" in finding.value or "MLflow server at" in finding.action


@pytest.mark.field("deleted_experiment")
@pytest.mark.parametrize(("stage", "state"), [("active", "ok"), ("deleted", "problem")])
def test_a_deleted_experiment_is_a_problem(
    examined: Examined, respond: Respond, stage: str, state: str
) -> None:
    """It says what happens next, and what to do."""
    experiment = {"experiment_id": "1", "name": "blood_cells", "lifecycle_stage": stage}
    routes = {
        "/health": (200, "OK"),
        "/api/2.0/mlflow/experiments/get-by-name": (200, {"experiment": experiment}),
    }
    (finding,) = servers.mlflow(examined(MLFLOW_TRACKING_URI=respond(routes)))
    assert finding.state == state
    if state == "problem":
        assert "the experiment blood_cells was deleted" in finding.value
        assert "restore it" in finding.action


def test_an_mlflow_that_refuses_this_host_says_so(examined: Examined, respond: Respond) -> None:
    """It is not called unreachable: exit code 2."""
    url = respond({"*": (403, "Invalid Host header - possible DNS rebinding attack detected")})
    (finding,) = servers.mlflow(examined(MLFLOW_TRACKING_URI=url))
    assert finding.exit_code == 2
    assert "MLFLOW_SERVER_ALLOWED_HOSTS" in finding.action


@pytest.mark.parametrize("address", ["127.0.0.1:8080", "http://[::1"])
def test_an_address_that_is_no_url_is_a_problem_of_the_input(
    examined: Examined, address: str
) -> None:
    """It is not called unreachable."""
    (finding,) = servers.airflow(examined(AIRFLOW_URL=address))
    assert (finding.exit_code, finding.action) == (2, "AIRFLOW_URL=http://host:port")


def test_an_address_that_mlflow_does_not_know_is_a_problem(examined: Examined) -> None:
    """Its client refuses it before it asks anybody."""
    (finding,) = servers.mlflow(examined(MLFLOW_TRACKING_URI="127.0.0.1:5000"))
    assert finding.state == "problem"


def _airflow(examined: Examined, url: str) -> list[Finding]:
    return list(servers.airflow(examined(AIRFLOW_URL=url, AIRFLOW_PASSWORD="secret")))


def test_an_airflow_without_faults_is_ok(examined: Examined, respond: Respond) -> None:
    """Healthy, the login is accepted, every DAG is parsed and active."""
    routes = {
        "/api/v2/monitor/health": (200, HEALTHY),
        "/auth/token": (201, {"access_token": "t"}),
        "*": (200, DAG),
    }
    assert [finding.state for finding in _airflow(examined, respond(routes))] == ["ok"]


def test_a_wrong_airflow_password_is_a_problem(examined: Examined, respond: Respond) -> None:
    """Airflow's reason and the variables; the password is not shown."""
    routes = {
        "/api/v2/monitor/health": (200, HEALTHY),
        "/auth/token": (401, {"detail": "Invalid credentials"}),
    }
    (finding,) = _airflow(examined, respond(routes))
    assert finding.exit_code == 2
    assert "Invalid credentials" in finding.value
    assert "AIRFLOW_PASSWORD" in finding.action
    assert "secret" not in str(finding)


def test_paused_and_unparsed_dags_are_problems(examined: Examined, respond: Respond) -> None:
    """Each with what does not happen meanwhile."""
    routes = {
        "/api/v2/monitor/health": (200, HEALTHY),
        "/auth/token": (201, {"access_token": "t"}),
        "/api/v2/dags/blood_cell_ingestion": (200, {**DAG, "is_paused": True}),
        "/api/v2/dags/blood_cell_monitoring": (404, {"detail": "no such DAG"}),
        "*": (200, DAG),
    }
    findings = [finding for finding in _airflow(examined, respond(routes)) if finding.exit_code]
    assert [(finding.value, finding.meaning) for finding in findings] == [
        ("blood_cell_ingestion is paused", "uploaded archives start no training"),
        ("Airflow has not parsed blood_cell_monitoring", "predictions are not tested for drift"),
    ]


def test_a_scheduler_without_heartbeat_is_unreachable(examined: Examined, respond: Respond) -> None:
    """The API server answers, but nothing is scheduled."""
    health = {**HEALTHY, "scheduler": {"status": "unhealthy"}}
    (finding,) = _airflow(examined, respond({"/api/v2/monitor/health": (200, health)}))
    assert (finding.exit_code, "scheduler" in finding.value) == (3, True)


def test_a_report_site_that_responds_is_ok(examined: Examined, respond: Respond) -> None:
    """By its health check."""
    url = respond({"/healthz": (200, "ok")})
    assert [f.state for f in servers.reports(examined(REPORTS_URL=url))] == ["ok"]


@pytest.mark.parametrize(
    ("status", "body", "state", "words"),
    [
        (200, {"tag": "blood_cells:1"}, "ok", "blood_cells:1"),
        (503, {"error": {"code": "no_model", "message": "none"}}, "note", "without a model"),
        (503, {"error": {"code": "store_unreadable", "message": "gone"}}, "problem", "gone"),
        (401, {"error": {"code": "no_key", "message": "a key"}}, "problem", "a key"),
    ],
)
def test_the_service_says_what_it_serves(
    examined: Examined,
    respond: Respond,
    status: int,
    body: dict[str, object],
    state: str,
    words: str,
) -> None:
    """Its model, or why it has none."""
    (finding,) = servers.service(examined(SERVICE_URL=respond({"/model": (status, body)})))
    assert finding.state == state
    assert words in finding.value
