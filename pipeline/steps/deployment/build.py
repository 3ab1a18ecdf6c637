"""Build: a served bundle becomes a Bento that has proved itself.

When it fails: a golden image answered differently means that the packaged service does not repeat
what training saw, and nothing is published; look for a change in preprocessing or the engine.
"""

import logging
import tempfile
from pathlib import Path

from pipeline.adapters.artifact_store import ArtifactStore
from pipeline.adapters.bento import baked_bundle, build_bento
from pipeline.artifacts import Artifact, BentoManifest, ServedManifest
from pipeline.contract.golden import read_golden
from pipeline.run import RunContext
from pipeline.steps.deployment.served_bento import replay_golden_images, serve_bento

logger = logging.getLogger(__name__)


def build(
    served: Artifact[ServedManifest], *, store: ArtifactStore, run: RunContext
) -> Artifact[BentoManifest]:
    """Bake a served bundle into a Bento, serve it from its own folder, check its golden answers.

    Returns:
        The Bento as an artefact: its folder, file for file.

    Raises:
        ArtifactError: when it cannot be built or a golden image is answered differently.
        UnreachableError: when the built Bento does not start.
    """
    manifest = served.manifest
    logger.info("building a Bento of %s", manifest.tag)
    with tempfile.TemporaryDirectory(prefix="build-") as folder:
        bundle = store.fetch(served, Path(folder) / "served")
        version = manifest.tag.partition(":")[2]
        bento = build_bento(bundle, Path(folder) / "bento", version=version)
        with serve_bento(bento) as url:
            worst = replay_golden_images(
                url, baked_bundle(bento), manifest.contract, manifest.parity.precision
            )
        built = store.publish(bento, _manifest(served, bento, run))
    logger.info("built %s; golden answers at most %.4f off", built.uri, worst)
    return built


def _manifest(served: Artifact[ServedManifest], bento: Path, run: RunContext) -> BentoManifest:
    return BentoManifest(
        name=served.manifest.name,
        run_id=run.run_id,
        code_version=run.code_version,
        created_at=run.created_at,
        inputs={"served": served.uri},
        counts={"golden": len(read_golden(baked_bundle(bento)))},
        tag=served.manifest.tag,
    )
