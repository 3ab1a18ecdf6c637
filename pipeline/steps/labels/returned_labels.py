"""Join returned labels to the predictions that they correct, and count agreement."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from pipeline.contract.class_names import canonical
from pipeline.contract.feedback_log import FeedbackRecord
from pipeline.contract.prediction_log import PredictionRecord, kept_image_path
from pipeline.records import Frozen


@dataclass(frozen=True)
class LabelledPrediction:
    """A prediction, and the last label that was returned for its request."""

    prediction: PredictionRecord
    feedback: FeedbackRecord

    @property
    def agrees(self) -> bool:
        """Whether the predicted class is the returned label, also if another model respelt it."""
        return canonical(self.prediction.label) == canonical(self.feedback.label)


@dataclass(frozen=True)
class JoinedLabels:
    """Returned labels with their predictions, and counts of unmatched and ambiguous labels."""

    labelled: list[LabelledPrediction]
    """Sorted by the time of the label."""
    unknown: int
    """Labels of requests that are not in the log."""
    ambiguous: int
    """Labels of request ids with several images: clients choose the ids, so the image that the
    reviewer saw is not known."""


class Agreement(Frozen):
    """Number of returned labels, and of those that agree with the prediction."""

    labels: int
    agreeing: int


def latest_feedback(feedback: Iterable[FeedbackRecord]) -> dict[str, FeedbackRecord]:
    """Request id to the last feedback for it."""
    ordered = sorted(feedback, key=lambda record: (record.time, record.label))
    return {record.request_id: record for record in ordered}


def join_labels(
    feedback: Mapping[str, FeedbackRecord], predictions: Iterable[PredictionRecord]
) -> JoinedLabels:
    """Join each request's last label to its prediction; counts unmatched and ambiguous labels."""
    by_request: dict[str, list[PredictionRecord]] = defaultdict(list)
    for prediction in predictions:
        if prediction.request_id in feedback:
            by_request[prediction.request_id].append(prediction)
    unambiguous = {name: found for name, found in by_request.items() if _show_one_image(found)}
    labelled = [
        # Prefer a prediction with a kept image, which can be trained on; then the last one.
        LabelledPrediction(max(found, key=lambda p: (bool(p.image), p.time)), feedback[name])
        for name, found in unambiguous.items()
    ]
    return JoinedLabels(
        sorted(labelled, key=lambda one: (one.feedback.time, one.feedback.request_id)),
        unknown=len(feedback) - len(by_request),
        ambiguous=len(by_request) - len(unambiguous),
    )


def labels_by_path(labelled: Sequence[LabelledPrediction]) -> dict[str, str]:
    """Path of each kept image, below `kept/<name>/`, to its last label."""
    by_image = {one.prediction.image: one for one in labelled if one.prediction.image}
    return {
        kept_image_path(one.prediction.time, image): one.feedback.label
        for image, one in sorted(by_image.items())
    }


def agreement_by_model(labelled: Iterable[LabelledPrediction]) -> dict[str, Agreement]:
    """Model tag to the number of labels for the model's predictions, and of agreeing labels."""
    counts: dict[str, Counter[bool]] = defaultdict(Counter)
    for one in labelled:
        counts[one.prediction.tag][one.agrees] += 1
    return {
        tag: Agreement(labels=count.total(), agreeing=count[True])
        for tag, count in sorted(counts.items())
    }


def _show_one_image(predictions: Sequence[PredictionRecord]) -> bool:
    """Whether all predictions of one request id are of the same image.

    Kept images are compared by hash. Without a hash, the image statistics must be equal, and the
    embeddings equal per model, since each model has embeddings of its own.
    """
    hashes = {prediction.image for prediction in predictions}
    if "" not in hashes:
        return len(hashes) == 1
    models = {prediction.tag for prediction in predictions}
    return (
        len(hashes - {""}) <= 1
        and len({prediction.stats for prediction in predictions}) == 1
        and len({(p.tag, p.embedding) for p in predictions}) == len(models)
    )
