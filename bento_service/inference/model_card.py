"""Model card: the served model, its provenance and its limits of use."""

from bento_service.http.schemas import Lineage, ModelCard, PromotionEntry, ReviewLimits
from bento_service.inference.pointer_follower import ServedClassifier

LIMITS = (
    "Research use only; not for diagnosis.",
    "Trained on photographs of one stained white blood cell each.",
    "Every image gets one of the model's classes, even a cell of an unknown kind.",
    "Another microscope, camera or stain can lower the accuracy without lowering the confidence.",
)
DEMO_LIMIT = "Demo model: not trained for real work."
DEMO_NAME = "demo"


def model_card(served: ServedClassifier, *, predictions_logged: bool) -> ModelCard:
    """Response body of `/model`; a demo model has one more limit of use."""
    manifest, pointer = served.classifier.manifest, served.pointer
    demo = (DEMO_LIMIT,) if manifest.contract.name == DEMO_NAME else ()
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
        promoted=PromotionEntry.model_validate(pointer.model_dump()) if pointer else None,
        predictions_logged=predictions_logged,
        limits=(*LIMITS, *demo),
    )
