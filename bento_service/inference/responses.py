"""What the service says of one prediction, and of one returned label."""

from bento_service.http.schemas import Classification, FeedbackRequest, FeedbackTaken
from bento_service.inference.classifier import Prediction

IMAGE_KEPT = "The label becomes part of the next dataset, with the image that was kept."
NO_IMAGE_KEPT = (
    "The label counts for live accuracy only: KEEP_IMAGES is off here, so no image was kept that "
    "could be trained on."
)


def taken(feedback: FeedbackRequest, *, keeps_images: bool) -> FeedbackTaken:
    """The answer to a label that was written down."""
    return FeedbackTaken(
        request_id=feedback.request_id,
        label=feedback.label,
        enters_dataset=keeps_images,
        message=IMAGE_KEPT if keeps_images else NO_IMAGE_KEPT,
    )


def answer_of(prediction: Prediction, tag: str, request_id: str) -> Classification:
    """The response body for one prediction of the model `tag`."""
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
