"""Response bodies for one prediction and for one returned label."""

from bento_service.http.schemas import Classification, FeedbackReceipt, FeedbackRequest
from bento_service.inference.classifier import Prediction

IMAGE_KEPT = "The label and the kept image become part of the next dataset."
NO_IMAGE_KEPT = (
    "The label counts for live accuracy only: KEEP_IMAGES is off in this service, so there is no "
    "kept image to train on."
)


def feedback_receipt(feedback: FeedbackRequest, *, keeps_images: bool) -> FeedbackReceipt:
    """Response to a stored label; says whether the image was kept for training."""
    return FeedbackReceipt(
        request_id=feedback.request_id,
        label=feedback.label,
        enters_dataset=keeps_images,
        message=IMAGE_KEPT if keeps_images else NO_IMAGE_KEPT,
    )


def classification_response(prediction: Prediction, tag: str, request_id: str) -> Classification:
    """Response to one image that the model `tag` classified; numbers are rounded."""
    height, width = prediction.prepared.image.shape[:2]
    return Classification(
        label=prediction.label,
        probabilities={name: round(p, 6) for name, p in prediction.probabilities.items()},
        decision=prediction.decision,
        reasons=prediction.reasons,
        uncertainty=round(prediction.uncertainty, 4),
        cell=prediction.prepared.box,
        cell_found=prediction.prepared.cell_found,
        width=width,
        height=height,
        tag=tag,
        request_id=request_id,
    )
