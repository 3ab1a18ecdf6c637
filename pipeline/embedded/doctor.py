"""What this machine has, before anything is started."""

import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

import psutil
from rich.table import Table

from pipeline.adapters.storage import S3Store
from pipeline.embedded import ports
from pipeline.embedded.credentials import S3_URL
from pipeline.embedded.parts import parts
from pipeline.embedded.preflight import LEAST_FREE_BYTES
from pipeline.errors import BucketError, UnreachableError
from pipeline.settings import EMBEDDED_STORE_URI, Settings, bucket_of


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at."""

    name: str
    found: str
    good: bool
    needed: bool = True


def examine(settings: Settings) -> list[Finding]:
    """Look at Python, memory, disk, ports, store, weights and builders; changes nothing."""
    home = settings.leukoflow_home.resolve()
    place = next(folder for folder in (home, *home.parents) if folder.is_dir())
    free = shutil.disk_usage(place).free
    memory = psutil.virtual_memory().total
    builders = [name for name in ("docker", "podman", "buildah") if shutil.which(name)]
    brought = any((home / "kept" / "weights").glob("vgg16/*/manifest.json"))
    return [
        Finding(
            name="Python",
            found=sys.version.split()[0],
            good=(3, 11) <= sys.version_info[:2] < (3, 13),
        ),
        Finding(name="disk", found=f"{free / 1e9:.0f} GB free", good=free >= LEAST_FREE_BYTES),
        Finding(name="memory", found=f"{memory / 1e9:.0f} GB", good=memory >= 6e9, needed=False),
        _ports(settings, home),
        _store(settings),
        Finding(
            name="weights",
            found="here" if brought else f"not brought yet, from {settings.weights_uri}",
            good=brought,
            needed=False,
        ),
        Finding(
            name="image builder",
            found=", ".join(builders) or "none of docker, podman, buildah",
            good=bool(builders),
            needed=False,
        ),
    ]


def table(findings: list[Finding]) -> Table:
    """The findings for people."""
    shown = Table("what", "found", "")
    for finding in findings:
        mark = "good" if finding.good else "missing" if finding.needed else "optional"
        shown.add_row(finding.name, finding.found, mark)
    return shown


def _store(settings: Settings) -> Finding:
    """Whether STORE_URI names something that exists and may be used with these credentials."""
    uri = settings.store_uri
    if not uri:
        found = f"STORE_URI is not set; `make up` uses {EMBEDDED_STORE_URI} of its own store"
        return Finding(name="store", found=found, good=False, needed=False)
    if not bucket_of(uri):
        return Finding(name="store", found=f"{uri}, a local folder", good=True)
    try:
        S3Store(settings, hurried=True).require_bucket(uri)
    except BucketError as error:
        return Finding(name="store", found=str(error), good=False)
    except UnreachableError:
        found = f"{uri} does not answer; `make up` starts the embedded store"
        return Finding(name="store", found=found, good=False, needed=False)
    return Finding(name="store", found=uri, good=True)


def _ports(settings: Settings, home: Path) -> Finding:
    from pipeline.embedded.stack import find_supervisor

    if find_supervisor(home):
        return Finding(name="ports", found="held by this stack, which is up", good=True)
    where = {"aws_endpoint_url_s3": settings.aws_endpoint_url_s3 or S3_URL}
    try:
        ports.require_free(parts(), settings.model_copy(update=where))
    except UnreachableError as error:
        return Finding(name="ports", found=str(error), good=False)
    return Finding(name="ports", found="free", good=True)
