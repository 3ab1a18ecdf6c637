"""Access of a local user without credentials to every listening socket of the stack."""

import io
import json
import os
import re
import socket
import ssl
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest
from rich.console import Console

from pipeline.adapters.storage import S3Store
from pipeline.embedded import environment, ports, seaweedfs_access, stack
from pipeline.embedded.parts import PARTS
from pipeline.embedded.processes import discovery
from pipeline.embedded.processes.temporary_parts import on_free_ports
from pipeline.settings import Settings

pytestmark = [pytest.mark.integration, pytest.mark.slow]
SECRET = b"a-kept-image" * 500
URI = "s3://leukoflow/kept/demo/2026-11-27/secret.png"
KEY = URI.removeprefix("s3://")
GRPC = (
    "S3_GRPC_PORT",
    "MASTER_GRPC_PORT",
    "VOLUME_GRPC_PORT",
    "FILER_GRPC_PORT",
    "ADMIN_GRPC_PORT",
)
OPEN = {
    ("S3_PORT", "/healthz"),
    ("S3_PORT", "/status"),
    ("MASTER_PORT", "/"),
    ("MASTER_PORT", "/ui/index.html"),
    ("MASTER_PORT", "/healthz"),
    ("MASTER_PORT", "/cluster/status"),
    ("VOLUME_PORT", "/healthz"),
    ("VOLUME_PORT", "/status"),
    ("ADMIN_PORT", "/health"),
    ("ADMIN_PORT", "/metrics"),
    ("MLFLOW_PORT", "/"),
    ("MLFLOW_PORT", "/health"),
    ("MLFLOW_PORT", "/api/2.0/mlflow-artifacts/artifacts?path="),
    ("AIRFLOW_PORT", "/"),
    ("AIRFLOW_PORT", "/api/v2/monitor/health"),
    ("AIRFLOW_PORT", "/api/v2/version"),
    ("SERVICE_PORT", "/"),
    ("SERVICE_PORT", "/livez"),
    ("SERVICE_PORT", "/healthz"),
    ("SERVICE_PORT", "/metrics"),
    ("SERVICE_PORT", "/docs.json"),
    ("REPORTS_PORT", "/"),
    ("REPORTS_PORT", "/healthz"),
}
"""Paths that answer a GET without credentials: the table of docs/security.md."""


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """The whole stack of the Procfile, with one object that needs credentials."""
    prepared = on_free_ports(tmp_path_factory.mktemp("ports") / "home")
    try:
        settings = stack.up(prepared, Console(file=io.StringIO()))
        S3Store(settings).write(URI, SECRET)
        yield settings
    finally:
        stack.down(prepared)


@pytest.fixture(scope="module")
def numbers(up: Settings) -> dict[str, int]:
    """Number of every port in the Procfile, by name."""
    return {name: number for part in PARTS for name, number in ports.variables(part, up).items()}


@pytest.fixture(scope="module")
def file_id(up: Settings, numbers: dict[str, int]) -> str:
    """Id of the object's bytes on the volume server, read with the stack's certificate."""
    found = re.search(r'"fileId":\s*"([^"]+)"', shell(up, numbers, f"fs.meta.cat /buckets/{KEY}"))
    assert found
    return found[1]


def shell(settings: Settings, numbers: dict[str, int], line: str, **own: str) -> str:
    """Output of SeaweedFS's administration shell over gRPC, by default with the certificate."""
    variables = own or seaweedfs_access.environment(settings)
    master = f"127.0.0.1:{numbers['MASTER_PORT']}.{numbers['MASTER_GRPC_PORT']}"
    filer = f"127.0.0.1:{numbers['FILER_PORT']}.{numbers['FILER_GRPC_PORT']}"
    try:
        done = subprocess.run(
            ["weed", "shell", f"-master={master}", f"-filer={filer}"],
            input=f"{line}\n",
            env={"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", **variables},
            cwd="/",
            capture_output=True,
            text=True,
            timeout=8,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        return (error.stdout or b"").decode()
    return done.stdout


def listening(settings: Settings) -> set[tuple[str, int]]:
    """Address and port of every TCP socket that a process of the stack listens on."""
    return {
        (connection.laddr[0], connection.laddr[1])
        for process, _ in discovery.stack_processes(settings.leukoflow_home)
        for connection in process.net_connections("inet")
        if connection.status == psutil.CONN_LISTEN and connection.laddr
    }


def test_the_stack_listens_where_the_table_says(up: Settings, numbers: dict[str, int]) -> None:
    """No process listens on a port outside the table, or beyond loopback."""
    assert listening(up) == {("127.0.0.1", number) for number in numbers.values()}


def test_other_users_cannot_open_the_unix_sockets(up: Settings) -> None:
    """SeaweedFS also listens in /tmp; connecting requires write permission."""
    sockets = [
        Path(str(connection.laddr))
        for process, _ in discovery.stack_processes(up.leukoflow_home)
        for connection in process.net_connections("unix")
        if isinstance(connection.laddr, str) and connection.laddr.startswith("/")
    ]
    assert sockets
    for path in sockets:
        if path.is_socket():
            assert not stat.S_IMODE(path.stat().st_mode) & (stat.S_IWGRP | stat.S_IWOTH), path


def test_only_the_paths_of_the_table_are_readable(
    up: Settings, numbers: dict[str, int], file_id: str
) -> None:
    """A GET of any other path to objects, volumes, tokens or runs is refused."""
    paths = (
        "/", "/healthz", "/health", "/status", "/metrics", "/livez", "/docs.json", "/ui/index.html",
        f"/{KEY}", f"/buckets/{KEY}", "/buckets/leukoflow/", "/leukoflow", "/leukoflow?list-type=2",
        f"/{file_id}", "/dir/status", "/dir/assign?collection=leukoflow",
        f"/dir/lookup?fileId={file_id}&read=yes", "/vol/status", "/cluster/status", "/stats/disk",
        "/debug/pprof/", "/api/2.0/mlflow-artifacts/artifacts?path=",
        "/api/2.0/mlflow-artifacts/artifacts/..%2fkept%2fdemo%2f2026-11-27%2fsecret.png",
        "/api/v2/monitor/health", "/api/v2/version", "/api/v2/dags", "/api/v2/variables",
        "/api/v2/connections", "/execution/variables/x", "/reports/../kept/demo/secret.png",
    )  # fmt: skip
    readable = set()
    with httpx.Client(trust_env=False, timeout=30) as client:
        for name, number in numbers.items():
            if name in GRPC:
                continue
            for path in paths:
                response = client.get(f"http://127.0.0.1:{number}{path}")
                assert SECRET not in response.content, (name, path)
                assert "authorization" not in response.headers, (name, path)  # a volume's token
                is_page = response.headers.get("content-type", "").startswith("text/html")
                log_in = name == "AIRFLOW_PORT" and is_page and path != "/"  # served for every path
                if response.is_success and not log_in:
                    readable.add((name, path))
    assert readable == OPEN


def test_writes_and_deletes_need_credentials(
    up: Settings, numbers: dict[str, int], file_id: str
) -> None:
    """PUT, POST and DELETE through S3, filer, volume and master server are refused."""
    paths = (
        f"/{KEY}",
        f"/buckets/{KEY}",
        f"/{file_id}",
        "/submit",
        "/col/delete?collection=leukoflow",
    )
    with httpx.Client(trust_env=False, timeout=30) as client:
        for name in ("S3_PORT", "MASTER_PORT", "VOLUME_PORT", "FILER_PORT", "ADMIN_PORT"):
            for path in paths:
                for method in ("PUT", "POST", "DELETE"):
                    url = f"http://127.0.0.1:{numbers[name]}{path}"
                    response = client.request(method, url, content=b"planted")
                    assert response.status_code in (400, 401, 403, 404, 405), (name, path, method)
    assert S3Store(up).read(URI) == SECRET


@pytest.mark.parametrize("name", GRPC)
def test_grpc_requires_the_certificate(up: Settings, numbers: dict[str, int], name: str) -> None:
    """Without it the server closes the connection; with it the server sends HTTP/2 settings."""
    folder = up.leukoflow_home / "object-store"
    assert first_bytes(numbers[name], None) == b""
    settings_frame = 4
    assert first_bytes(numbers[name], folder)[3] == settings_frame


def first_bytes(port: int, folder: Path | None) -> bytes:
    """First bytes that a gRPC port sends over TLS; empty if it closes the connection."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols(["h2"])
    if folder:
        context.load_cert_chain(folder / "certificate.pem", folder / "key.pem")
    try:
        with (
            socket.create_connection(("127.0.0.1", port), timeout=10) as plain,
            context.wrap_socket(plain) as secure,
        ):
            secure.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\4\0\0\0\0\0")
            return secure.recv(9)
    except ssl.SSLError:
        return b""


def test_the_administration_shell_needs_the_certificate(
    up: Settings, numbers: dict[str, int]
) -> None:
    """The same command lists the bucket with it and nothing without it."""
    line = "fs.ls /buckets/leukoflow/kept/demo/2026-11-27"
    assert "secret.png" in shell(up, numbers, line)
    assert "secret.png" not in shell(up, numbers, line, HOME="/nonexistent")


def test_mlflow_reaches_its_own_folder_only(up: Settings) -> None:
    """Clients may name any location; outside its folder MLflow can neither read nor write."""
    store = S3Store(up)
    with httpx.Client(base_url=up.mlflow_tracking_uri, trust_env=False, timeout=60) as client:
        run = planted_run(client, "s3://leukoflow/archives/demo")
        upload = "/ajax-api/2.0/mlflow/upload-artifact"
        query = {"run_uuid": run, "path": "planted.zip"}
        assert not client.post(upload, params=query, content=b"planted").is_success
        folder, _, file = URI.rpartition("/")
        version = {"name": "reader", "source": folder, "run_id": run}
        client.post("/api/2.0/mlflow/registered-models/create", json={"name": "reader"})
        client.post("/api/2.0/mlflow/model-versions/create", json=version)
        query = {"name": "reader", "version": "1", "path": file}
        unauthorised = client.get("/model-versions/get-artifact", params=query)
        assert not unauthorised.is_success
        assert SECRET not in unauthorised.content
        own = planted_run(client, "")
        query = {"run_uuid": own, "path": "note.txt"}
        assert client.post(upload, params=query, content=b"mine").is_success
    assert not list(store.list("s3://leukoflow/archives/"))
    assert [item.uri for item in store.list("s3://leukoflow/mlflow/") if own in item.uri]


def test_files_that_mlflow_writes_are_not_executed(up: Settings, tmp_path: Path) -> None:
    """Clients can make MLflow write files anywhere new; Airflow loads none of them as a plugin."""
    marker = tmp_path / "ran"
    with httpx.Client(base_url=up.mlflow_tracking_uri, trust_env=False, timeout=60) as client:
        run = planted_run(client, f"file://{up.leukoflow_home}/data/airflow/plugins")
        query = {"run_uuid": run, "path": "planted.py"}
        code = f"open({str(marker)!r}, 'w').close()\nfrom airflow.plugins_manager import *\n"
        client.post("/ajax-api/2.0/mlflow/upload-artifact", params=query, content=code.encode())
    assert list((up.leukoflow_home / "data/airflow").rglob("planted.py"))
    load = "from airflow.plugins_manager import ensure_plugins_loaded as load; load()"
    variables = environment.stack_variables(up, os.environ)
    subprocess.run([sys.executable, "-c", load], env=variables, check=True, capture_output=True)
    assert not marker.exists()


def planted_run(client: httpx.Client, location: str) -> str:
    """Id of a run in a new experiment with this artefact location, made without credentials."""
    body = {"name": f"at {location}", "artifact_location": location}
    created = client.post("/api/2.0/mlflow/experiments/create", json=body).json()
    body = {"experiment_id": created["experiment_id"]}
    response = client.post("/api/2.0/mlflow/runs/create", json=body).json()
    return str(response["run"]["info"]["run_id"])


def test_identities_are_private(up: Settings) -> None:
    """Only their owner can read the keys and the certificate."""
    folder = up.leukoflow_home / "object-store"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    files = sorted(folder.iterdir())
    assert [path.name for path in files] == ["certificate.pem", "identities.json", "key.pem"]
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}
    assert json.loads(files[1].read_text())["identities"][1]["actions"][0].startswith("Read:")
