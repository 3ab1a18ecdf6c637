"""BentoML: the model store as a mirror of what was promoted, and the Bento that carries a model.

BentoML's own store is not crash-safe: a kill in mid-save leaves a model that `get` returns without
its weights and that a retry cannot overwrite. So a model is saved into a private home, verified,
and moved into place by one rename.
"""

import contextlib
import fcntl
import json
import logging
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from pydantic import ValidationError

from pipeline.adapters.requirements import ROOT, export_requirements
from pipeline.artifacts import MANIFEST, ServedManifest, require_files
from pipeline.errors import ArtifactError
from pipeline.settings import Settings
from pipeline.telemetry import TELEMETRY_OFF

BUNDLE = "bundle"
"""Folder of the served bundle inside a Bento's sources."""
SOURCES = "src"
"""Where a Bento keeps the files it was built from."""
BENTOFILE = "bentofile.yaml"
_INFO = "model.yaml"
_LAST_CHARACTERS = 2000

logger = logging.getLogger(__name__)


def mirror(settings: Settings, folder: Path, tag: str, labels: Mapping[str, str]) -> Path:
    """Save a served bundle into the BentoML model store; what is already there whole stays.

    Args:
        settings: whose `bento_home` holds the store.
        folder: a fetched served bundle with its manifest.
        tag: `<name>:<version>`, also BentoML's tag. The store's `latest` is set to it.
        labels: BentoML labels, such as the digest it came from.

    Returns:
        The model's folder in the store.

    Raises:
        ArtifactError: when the bundle does not match its manifest.
    """
    name, _, version = tag.partition(":")
    target = settings.bento_home / "models" / name / version
    files = _manifest(folder).files
    with _locked(settings.bento_home):
        if not _is_whole(target, files):
            with _private_home(settings.bento_home) as private:
                saved = _save(private, folder, tag, labels)
                require_files(saved, files)
                _swap(saved, target, aside=private / "broken")
            logger.info("mirrored %s into the BentoML model store", tag)
        _replace_text(target.parent / "latest", version)
    return target


def build_bento(served_folder: Path, out: Path, *, version: str) -> Path:
    """Build a Bento with a served bundle baked in.

    Args:
        served_folder: a fetched served bundle with its manifest.
        out: folder that the Bento becomes; it must not exist.
        version: BentoML's version of the Bento.

    Returns:
        `out`: servable by `python -m bento_service` in its `src`, or `bentoml serve out`, with
            BUNDLE_DIR set to its `src/bundle`.

    Raises:
        ArtifactError: when the bundle is damaged or BentoML cannot build.
    """
    require_files(served_folder, _manifest(served_folder).files)
    # In the system's temporary folder: BentoML refuses a path with a hidden folder in it.
    with tempfile.TemporaryDirectory(prefix="bento-") as folder:
        private = Path(folder)
        context = _context(private / "context", served_folder)
        _run(
            [sys.executable, "-m", "bentoml", "build", str(context), "--version", version], private
        )
        (built,) = (private / "bentos").glob(f"*/{version}")
        out.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(built, out)
    return out


def baked_bundle(bento: Path) -> Path:
    """Where a built Bento keeps its model."""
    return bento / SOURCES / BUNDLE


def _context(context: Path, served_folder: Path) -> Path:
    """A folder with nothing in it but what `bentofile.yaml` may include."""
    context.mkdir()
    for package in ("bento_service", "pipeline"):
        source = ROOT / package
        shutil.copytree(source, context / package, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / BENTOFILE, context)
    shutil.copytree(served_folder, context / BUNDLE)
    (context / "requirements.txt").write_text(export_requirements(["serve"]))
    return context


def _save(private: Path, folder: Path, tag: str, labels: Mapping[str, str]) -> Path:
    module = [sys.executable, "-m", "pipeline.adapters.bento_model"]
    _run([*module, tag, str(folder.resolve()), json.dumps(dict(labels))], private)
    return private / "models" / Path(*tag.split(":"))


def _run(command: list[str], private: Path) -> None:
    done = subprocess.run(
        command,
        env={**os.environ, **TELEMETRY_OFF, "BENTOML_HOME": str(private)},
        cwd=private,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        said = f"{done.stdout}{done.stderr}".strip()
        raise ArtifactError("BentoML failed", received=said[-_LAST_CHARACTERS:])


def _manifest(folder: Path) -> ServedManifest:
    try:
        return ServedManifest.model_validate_json((folder / MANIFEST).read_bytes())
    except (FileNotFoundError, ValidationError) as error:
        raise ArtifactError(
            f"{folder} is no served bundle: {error}", expected=f"a whole {MANIFEST}"
        ) from error


def _is_whole(target: Path, files: Mapping[str, str]) -> bool:
    """Whether a model of the store has its description and every byte of its files."""
    try:
        require_files(target, files)
    except ArtifactError:
        return False
    return (target / _INFO).is_file() and (target / MANIFEST).is_file()


def _swap(source: Path, target: Path, *, aside: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.exists():
        target.rename(aside)
    source.rename(target)


@contextlib.contextmanager
def _private_home(home: Path) -> Iterator[Path]:
    """A BENTOML_HOME on the same disk as the real one, gone afterwards."""
    home.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".incoming-", dir=home.resolve()) as private:
        yield Path(private)


@contextlib.contextmanager
def _locked(home: Path) -> Iterator[None]:
    home.mkdir(parents=True, exist_ok=True)
    with (home / ".mirror.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _replace_text(path: Path, text: str) -> None:
    part = path.with_name(f".{path.name}")
    part.write_text(text)
    part.replace(path)
