"""docker-compose.yml without Docker: its services in Linux namespaces.

buildah builds the images that Compose builds. Debian's PostgreSQL and Redis and the locked
SeaweedFS replace the public images, with the same variables, volume folders and, for PostgreSQL,
the scripts in `/docker-entrypoint-initdb.d`.
"""

import contextlib
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests.integration.containers.buildah import ROOT, Buildah
from tests.integration.containers.compose import Service
from tests.integration.containers.namespaces import Container, Image, Switch

_START_SECONDS = 240
_USER = 65534
_POSTGRES = """
set -e
initdb --username="$POSTGRES_USER" --pwfile=/dev/stdin --auth-host=scram-sha-256 \
  --auth-local=trust --pgdata="$PGDATA" <<PASSWORD
$POSTGRES_PASSWORD
PASSWORD
echo "host all all all scram-sha-256" >> "$PGDATA/pg_hba.conf"
pg_ctl --wait --options="--listen-addresses=''" start
createdb --username="$POSTGRES_USER" "$POSTGRES_DB"
for file in /docker-entrypoint-initdb.d/*.sql; do
  psql --username="$POSTGRES_USER" --dbname="$POSTGRES_DB" --set=ON_ERROR_STOP=1 --file="$file"
done
pg_ctl --wait stop
exec postgres --listen-addresses="*"
"""


@dataclass
class Cluster:
    """Running services by host name."""

    services: Mapping[str, Service]
    containers: dict[str, Container] = field(default_factory=dict)
    processes: dict[str, "subprocess.Popen[bytes]"] = field(default_factory=dict)

    def healthy(self, name: str) -> bool:
        """Whether the Compose file's health check succeeds in the container."""
        check = self.services[service_of(name)].healthcheck
        return self.containers[name].run(check).returncode == 0

    def wait(self, name: str, condition: str) -> None:
        """Return once a container meets a condition of `depends_on`; fail after four minutes."""
        deadline = time.monotonic() + _START_SECONDS
        process, container = self.processes[name], self.containers[name]
        if condition == "service_completed_successfully":
            assert process.wait(_START_SECONDS) == 0, container.log()
            return
        while not self.healthy(name):
            assert process.poll() is None, f"{name} exited: {container.log()}"
            assert time.monotonic() < deadline, f"{name} is not healthy: {container.log()}"
            time.sleep(1)


@contextlib.contextmanager
def running(
    services: Mapping[str, Service],
    buildah: Buildah,
    folder: Path,
    scale: Mapping[str, int],
) -> Iterator[Cluster]:
    """All services, each healthy by its health check; the context's end stops them.

    Args:
        services: from `compose.read`.
        buildah: a builder with the base images.
        folder: for the files that the containers write.
        scale: number of containers of a service; the default is one.
    """
    hosts = [host for name in services for host in _hosts(name, scale)]
    images = _images(services, buildah, folder)
    cluster = Cluster(services)
    with Switch(folder, hosts) as switch:
        for name in _in_order(services):
            service = services[name]
            for other, condition in service.depends_on.items():
                cluster.wait(other, condition)
            for host in _hosts(name, scale):
                _start(cluster, switch, host, images[name])
        for host in hosts:
            if services[service_of(host)].healthcheck:
                cluster.wait(host, "service_healthy")
        yield cluster
    for process in cluster.processes.values():
        process.wait(30)


def _start(cluster: Cluster, switch: Switch, host: str, image: Image) -> None:
    service = cluster.services[service_of(host)]
    mounts = {path: switch.folder / f"volume-{name}" for path, name in service.volumes.items()}
    for path, content in service.files.items():
        mounts[path] = switch.folder / f"{host}-{Path(path).name}"
        mounts[path].write_text(content)
    container = switch.add(
        host,
        image,
        service.environment,
        volumes=mounts,
        network_of="" if service.network_of == service.name else service.network_of,
    )
    cluster.containers[host] = container
    cluster.processes[host] = container.start(service.command or image.command)


def _hosts(name: str, scale: Mapping[str, int]) -> list[str]:
    count = scale.get(name, 1)
    return [name] if count == 1 else [f"{name}--{number + 1}" for number in range(count)]


def service_of(host: str) -> str:
    return host.partition("--")[0]


def _in_order(services: Mapping[str, Service]) -> list[str]:
    """Names, each after its dependencies and after the service whose network it shares."""
    ordered: list[str] = []
    while len(ordered) < len(services):
        ordered += [
            name
            for name, service in services.items()
            if name not in ordered and {*service.depends_on, service.network_of} <= {*ordered, name}
        ]
    return ordered


def _images(services: Mapping[str, Service], buildah: Buildah, folder: Path) -> dict[str, Image]:
    built = {service.image: service for service in services.values() if service.build}
    images = {image: _built(service, buildah) for image, service in built.items()}
    debian = _debian(folder / "debian")
    return {
        name: images.get(service.image) or _substitute(service, debian)
        for name, service in services.items()
    }


def _built(service: Service, buildah: Buildah) -> Image:
    """Image that `docker compose build` would build for a service."""
    command = ["buildah", "build", "--file", str(ROOT / "docker" / "stack.Dockerfile")]
    buildah.build([*command, "--tag", service.image, str(ROOT)], service.build)
    container = buildah.container(service.image)
    config = buildah.config(container)
    variables = dict(pair.split("=", 1) for pair in config["Env"])
    return Image(
        root=Path(buildah.call(["buildah", "mount", container])),
        user=int(config["User"].partition(":")[0]),
        environment={"HOME": "/home/leukoflow", **variables},
        folder=config["WorkingDir"],
        command=config["Cmd"],
    )


def _substitute(service: Service, debian: Path) -> Image:
    """Substitute for a public image: Debian's programs and the locked SeaweedFS."""
    server = max(Path("/usr/lib/postgresql").glob("*/bin"))
    data = next(iter(service.volumes), "/tmp")  # noqa: S108 a folder of the container
    variables = {"PATH": f"/opt:{server}:/usr/sbin:/usr/bin", "HOME": "/tmp", "PGDATA": data}  # noqa: S108
    return Image(
        root=debian,
        user=_USER,
        environment=variables,
        folder=data,
        command=["sh", "-c", _POSTGRES] if service.image.startswith("postgres:") else [],
        binds={"/usr": Path("/usr"), "/opt/weed": Path(sys.executable).with_name("weed")},
    )


def _debian(root: Path) -> Path:
    """A root file system with this machine's programs and no other files of it."""
    for name in ("dev", "proc", "tmp", "usr", "etc", "opt", "run/postgresql", "var"):
        (root / name).mkdir(parents=True)
    for name in ("tmp", "run/postgresql"):
        (root / name).chmod(0o1777)
    (root / "var" / "run").symlink_to("/run")
    for name in ("bin", "sbin", "lib", "lib64"):
        (root / name).symlink_to(f"usr/{name}")
    for name in ("passwd", "group", "nsswitch.conf", "ld.so.cache"):
        shutil.copy(Path("/etc") / name, root / "etc")
    return root
