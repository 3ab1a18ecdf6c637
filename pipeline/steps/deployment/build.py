"""Build: pack a served bundle into a Bento, and publish it once it replays its golden images."""

import logging
import tempfile
from pathlib import Path

from pipeline.adapters.artifact_store import ArtifactStore
from pipeline.adapters.bento import baked_bundle, build_bento
from pipeline.artifacts import Artifact, BentoManifest, ServedManifest
from pipeline.contract.golden_images import read_golden
from pipeline.run_context import RunContext
from pipeline.steps.deployment.smoke_check import replay_golden_images, serve_bento

log = logging.getLogger(__name__)


def build(
    served: Artifact[ServedManifest], *, store: ArtifactStore, run: RunContext
) -> Artifact[BentoManifest]:
    """Build a Bento with the bundle inside, test it by its golden images, and publish it.

    Nothing is published when a check fails.

    Returns:
        The Bento's folder as an artefact.

    Raises:
        ArtifactError: when the build fails or a golden image has other probabilities.
        UnreachableError: when the Bento's service does not start.
    """
    manifest = served.manifest
    log.info("build: a Bento of %s", manifest.tag)
    with tempfile.TemporaryDirectory(prefix="build-") as folder:
        bundle = store.fetch(served, Path(folder) / "served")
        version = manifest.tag.partition(":")[2]
        bento = build_bento(bundle, Path(folder) / "bento", version=version)
        with serve_bento(bento) as url:
            difference = replay_golden_images(
                url, baked_bundle(bento), manifest.contract, manifest.parity.precision
            )
        description = BentoManifest(
            name=manifest.name,
            inputs={"served": served.uri},
            counts={"golden": len(read_golden(baked_bundle(bento)))},
            tag=manifest.tag,
            **run.model_dump(),
        )
        built = store.publish(bento, description)
    log.info("build done: %s; golden probabilities differ by %.4f at most", built.uri, difference)
    return built
