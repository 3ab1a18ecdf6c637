"""The model card: what is served now, where it comes from, and what it is not for."""

from bento_service.http.schemas import Lineage, ModelCard, Move, ReviewLimits
from bento_service.inference.follow import Served

LIMITS = (
    "Research use only; not for diagnosis.",
    "Made for one stained white blood cell per photograph.",
    "Every image is answered with one of the model's classes, also a cell of another kind.",
    "Another microscope, camera or stain can lower the accuracy without lowering the confidence.",
)
DRAWN = "Demo model, trained on drawings or on the archive given to `make demo`: not for real work."
DEMO_NAME = "demo"


def describe(served: Served, *, predictions_logged: bool) -> ModelCard:
    """The card of the model that answers, and whether its answers are logged."""
    manifest, pointer = served.classifier.manifest, served.pointer
    drawn = (DRAWN,) if manifest.contract.name == DEMO_NAME else ()
    return ModelCard(
        tag=manifest.tag,
        digest=manifest.digest(),
        contract=manifest.contract,
        review=ReviewLimits.model_validate(
            served.classifier.rule.model_dump(include=set(ReviewLimits.model_fields))
        ),
        parity=manifest.parity,
        metrics=served.classifier.metrics,
        lineage=Lineage.model_validate(manifest.model_dump(include=set(Lineage.model_fields))),
        promoted=Move.model_validate(pointer.model_dump()) if pointer else None,
        predictions_logged=predictions_logged,
        limits=(*LIMITS, *drawn),
    )
