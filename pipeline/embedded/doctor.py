"""Checks of this machine before a start: Python, disk, memory, ports, store, weights, builder."""

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
from pipeline.embedded.preflight import MIN_FREE_BYTES
from pipeline.errors import BucketError, UnreachableError
from pipeline.settings import EMBEDDED_STORE_URI, Settings, bucket_of


@dataclass(frozen=True)
class Check:
    """Result of one check; only a failed required check is an error."""

    name: str
    value: str
    passed: bool
    required: bool = True


def run_checks(settings: Settings) -> list[Check]:
    """Run all checks; changes nothing, and a failed one is a result, not an error."""
    home = settings.leukoflow_home.resolve()
    existing = next(folder for folder in (home, *home.parents) if folder.is_dir())
    free = shutil.disk_usage(existing).free
    memory = psutil.virtual_memory().total
    builders = [name for name in ("docker", "podman", "buildah") if shutil.which(name)]
    present = any((home / "artifacts" / "weights").glob("vgg16/*/manifest.json"))
    return [
        Check(
            name="Python",
            value=sys.version.split()[0],
            passed=(3, 11) <= sys.version_info[:2] < (3, 13),
        ),
        Check(name="disk", value=f"{free / 1e9:.0f} GB free", passed=free >= MIN_FREE_BYTES),
        Check(name="memory", value=f"{memory / 1e9:.0f} GB", passed=memory >= 6e9, required=False),
        _ports(settings, home),
        _store(settings),
        Check(
            name="weights",
            value="present" if present else f"not downloaded yet, from {settings.weights_uri}",
            passed=present,
            required=False,
        ),
        Check(
            name="image builder",
            value=", ".join(builders) or "none of docker, podman, buildah",
            passed=bool(builders),
            required=False,
        ),
    ]


def table(checks: list[Check]) -> Table:
    """The results as a table for the terminal."""
    rendered = Table("check", "value", "result")
    for check in checks:
        result = "ok" if check.passed else "missing" if check.required else "optional"
        rendered.add_row(check.name, check.value, result)
    return rendered


def _store(settings: Settings) -> Check:
    """Whether STORE_URI names a store that exists and accepts these credentials; asks it."""
    uri = settings.store_uri
    if not uri:
        text = f"STORE_URI is not set; `make up` uses {EMBEDDED_STORE_URI} of the embedded store"
        return Check(name="store", value=text, passed=False, required=False)
    if not bucket_of(uri):
        return Check(name="store", value=f"{uri}, a local folder", passed=True)
    try:
        S3Store(settings, fail_fast=True).require_bucket(uri)
    except BucketError as error:
        return Check(name="store", value=str(error), passed=False)
    except UnreachableError:
        text = f"{uri} is unreachable; `make up` starts the embedded store"
        return Check(name="store", value=text, passed=False, required=False)
    return Check(name="store", value=uri, passed=True)


def _ports(settings: Settings, home: Path) -> Check:
    """Whether the stack's ports are free or used by this stack."""
    from pipeline.embedded.stack import find_supervisor

    if find_supervisor(home):
        return Check(name="ports", value="in use by this stack, which is up", passed=True)
    endpoint = {"aws_endpoint_url_s3": settings.aws_endpoint_url_s3 or S3_URL}
    try:
        ports.require_free(parts(), settings.model_copy(update=endpoint))
    except UnreachableError as error:
        return Check(name="ports", value=str(error), passed=False)
    return Check(name="ports", value="free", passed=True)
