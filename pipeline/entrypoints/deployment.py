"""Deployment entry points: Bento, smoke test, container image."""

import tempfile
from pathlib import Path

from pipeline.artifacts import BentoManifest, ServedManifest
from pipeline.entrypoints.jobs.job import open_job
from pipeline.errors import InvalidInputError


def build(config: str, run_id: str, served: str = "") -> str:
    """Build and store a Bento of a served bundle (default: the champion); returns its URI."""
    from pipeline.steps.deployment.build import build as step

    job = open_job(config, run_id)
    if not served:
        pointer = job.pointers.read()
        if pointer is None:
            raise InvalidInputError(
                f"no model named {job.config.name} is served", expected="a promoted model"
            )
        served = pointer.served
    opened = job.store.open(served, ServedManifest)
    return step(opened, store=job.store, run=job.run).uri


def smoke(config: str, run_id: str, bento: str) -> str:
    """Serve a Bento and replay its golden images; ArtifactError if one differs; returns `bento`."""
    from pipeline.adapters.bento import baked_bundle
    from pipeline.steps.deployment.smoke_check import replay_golden_images, serve_bento

    job = open_job(config, run_id)
    built = job.store.open(bento, BentoManifest)
    with tempfile.TemporaryDirectory(prefix="smoke-") as folder:
        files = job.store.fetch(built, Path(folder))
        bundle = baked_bundle(files)
        manifest = ServedManifest.model_validate_json((bundle / "manifest.json").read_text())
        with serve_bento(files) as url:
            replay_golden_images(url, bundle, manifest.contract, manifest.parity.precision)
    return bento


def image(config: str, run_id: str, bento: str) -> str:
    """Build and push the image; without a registry or builder, return what is missing as text."""
    from pipeline.steps.deployment.container_image import build_and_push

    job = open_job(config, run_id)
    built = job.store.open(bento, BentoManifest)
    return build_and_push(built, settings=job.settings, store=job.store)


def build_image(config: str, run_id: str, bento: str) -> str:
    """Build the image, and push it if IMAGE_REGISTRY is set; returns a one-line summary."""
    from pipeline.steps.deployment.container_image import build_image as step

    job = open_job(config, run_id)
    built = job.store.open(bento, BentoManifest)
    return step(built, settings=job.settings, store=job.store).summary
