"""BentoML: copy promoted models into its model store, and build Bentos with a model inside.

BentoML's model store is not crash-safe: a kill while saving leaves a model that `get` returns
without its weights and that a retry cannot overwrite. So a model is saved into a temporary
BENTOML_HOME, verified, and moved into place by one rename.
"""

import contextlib
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
from pipeline.adapters.storage.local import lock_file
from pipeline.artifacts import MANIFEST, ServedManifest
from pipeline.digests import require_files
from pipeline.errors import ArtifactError
from pipeline.settings import Settings
from pipeline.telemetry import TELEMETRY_OFF

BUNDLE = "bundle"
"""Folder of the served bundle in a Bento's sources."""
SOURCES = "src"
"""Folder of the sources in a Bento."""
BENTOFILE = "bentofile.yaml"
_INFO = "model.yaml"
_MAX_OUTPUT_CHARACTERS = 2000

logger = logging.getLogger(__name__)


def mirror(settings: Settings, folder: Path, tag: str, labels: Mapping[str, str]) -> Path:
    """Copy a served bundle into the BentoML model store, unless it is there, and tag it `latest`.

    Args:
        settings: `bento_home` is the folder of the store.
        folder: a fetched served bundle with its manifest.
        tag: `<name>:<version>`, also BentoML's tag; the store's `latest` is set to it.
        labels: BentoML labels, such as the digest it came from.

    Returns:
        The model's folder in the store.

    Raises:
        ArtifactError: when the bundle does not match its manifest.
    """
    name, _, version = tag.partition(":")
    target = settings.bento_home / "models" / name / version
    files = _read_manifest(folder).files
    settings.bento_home.mkdir(parents=True, exist_ok=True)
    with lock_file(settings.bento_home / ".mirror.lock"):
        if not _is_complete(target, files):
            with _private_home(settings.bento_home) as private:
                saved = _save(private, folder, tag, labels)
                require_files(saved, files)
                _swap(saved, target, discarded=private / "broken")
            logger.info("mirrored %s into the BentoML model store", tag)
        _replace_text(target.parent / "latest", version)
    return target


def build_bento(served_folder: Path, out: Path, *, version: str) -> Path:
    """Build a Bento that contains a served bundle, in a subprocess, and move it to `out`.

    Args:
        served_folder: a fetched served bundle with its manifest.
        out: folder of the Bento; it must not exist. Returned.
        version: BentoML's version of the Bento.

    Serve it by `python -m bento_service` in its `src`, or by `bentoml serve out`, with BUNDLE_DIR
    set to its `src/bundle`.

    Raises:
        ArtifactError: when the bundle is damaged or BentoML cannot build.
    """
    require_files(served_folder, _read_manifest(served_folder).files)
    # In the system's temporary folder, because BentoML refuses a path with a hidden folder.
    with tempfile.TemporaryDirectory(prefix="bento-") as folder:
        private = Path(folder)
        context = _make_context(private / "context", served_folder)
        _run(
            [sys.executable, "-m", "bentoml", "build", str(context), "--version", version], private
        )
        (built,) = (private / "bentos").glob(f"*/{version}")
        out.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(built, out)
    return out


def baked_bundle(bento: Path) -> Path:
    """Path of the served bundle inside a built Bento."""
    return bento / SOURCES / BUNDLE


def _make_context(context: Path, served_folder: Path) -> Path:
    """Make the build folder `context`: sources, `bentofile.yaml`, bundle, requirements."""
    context.mkdir()
    for package in ("bento_service", "pipeline"):
        source = ROOT / package
        shutil.copytree(source, context / package, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / BENTOFILE, context)
    shutil.copytree(served_folder, context / BUNDLE)
    (context / "requirements.txt").write_text(export_requirements(["serve"]))
    return context


def _save(private: Path, folder: Path, tag: str, labels: Mapping[str, str]) -> Path:
    """Save a bundle as a BentoML model below `private`; returns the model's folder."""
    module = [sys.executable, "-m", "pipeline.adapters.bento_model"]
    _run([*module, tag, str(folder.resolve()), json.dumps(dict(labels))], private)
    return private / "models" / Path(*tag.split(":"))


def _run(command: list[str], private: Path) -> None:
    """Run a command with BENTOML_HOME `private`; ArtifactError, with its output, if it fails."""
    done = subprocess.run(
        command,
        env={**os.environ, **TELEMETRY_OFF, "BENTOML_HOME": str(private)},
        cwd=private,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        output = f"{done.stdout}{done.stderr}".strip()
        raise ArtifactError("BentoML failed", received=output[-_MAX_OUTPUT_CHARACTERS:])


def _read_manifest(folder: Path) -> ServedManifest:
    """The manifest of a fetched served bundle; ArtifactError if there is none."""
    try:
        return ServedManifest.model_validate_json((folder / MANIFEST).read_bytes())
    except (FileNotFoundError, ValidationError) as error:
        raise ArtifactError(
            f"{folder} is not a served bundle: {error}", expected=f"a complete {MANIFEST}"
        ) from error


def _is_complete(target: Path, files: Mapping[str, str]) -> bool:
    """Whether a model in the store has its description and all its files, unchanged."""
    try:
        require_files(target, files)
    except ArtifactError:
        return False
    return (target / _INFO).is_file() and (target / MANIFEST).is_file()


def _swap(source: Path, target: Path, *, discarded: Path) -> None:
    """Rename `source` to `target`; an existing target is renamed to `discarded` first."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.exists():
        target.rename(discarded)
    source.rename(target)


@contextlib.contextmanager
def _private_home(home: Path) -> Iterator[Path]:
    """A temporary BENTOML_HOME on the same disk as the real one; removed after the block."""
    with tempfile.TemporaryDirectory(prefix=".incoming-", dir=home.resolve()) as private:
        yield Path(private)


def _replace_text(path: Path, text: str) -> None:
    """Write a small text file atomically."""
    part = path.with_name(f".{path.name}")
    part.write_text(text)
    part.replace(path)
