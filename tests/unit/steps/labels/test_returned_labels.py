"""Returned labels are joined to predictions; the last label counts, ambiguous ones do not."""

from datetime import UTC, datetime, timedelta

from pipeline.contract.feedback_log import FeedbackRecord
from pipeline.contract.image_stats import ImageStats
from pipeline.contract.prediction_log import PredictionRecord
from pipeline.steps.labels.returned_labels import (
    Agreement,
    agreement_by_model,
    join_labels,
    labels_by_path,
    latest_feedback,
)

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


def prediction(
    request_id: str,
    image: str = "",
    label: str = "ROUND",
    tag: str = "cells:1",
    seed: float = 0,
    minutes: int = 0,
) -> PredictionRecord:
    """A logged prediction, some minutes after noon."""
    numbers = dict.fromkeys(ImageStats.model_fields, 0)
    return PredictionRecord(
        request_id=request_id, time=NOON + timedelta(minutes=minutes), tag=tag, label=label,
        route="/classify", decision="accept", probabilities={label: 1.0}, cell_found=True,
        stats=ImageStats.model_validate(numbers), embedding=(seed,), image=image,
    )  # fmt: skip


def feedback(request_id: str, label: str, minutes: int = 0) -> FeedbackRecord:
    """A returned label, some minutes after noon."""
    time = NOON + timedelta(minutes=minutes)
    return FeedbackRecord(
        request_id=request_id, label=label, reviewer="Ada", time=time, tag="cells:2"
    )


def test_the_last_label_of_a_request_counts() -> None:
    """The last label by time counts, in any order of the lines."""
    lines = [feedback("a", "LOBED", 2), feedback("a", "ROUND", 3), feedback("a", "LOBED", 1)]
    (one,) = join_labels(latest_feedback(lines), [prediction("a")]).labelled
    assert one.feedback.label == "ROUND"
    assert one.agrees


def test_a_label_of_an_unknown_request_is_counted() -> None:
    """A label without a prediction in the log is counted as unknown."""
    joined = join_labels(
        latest_feedback([feedback("a", "ROUND"), feedback("b", "ROUND")]), [prediction("a")]
    )
    assert (len(joined.labelled), joined.unknown, joined.ambiguous) == (1, 1, 0)


def test_a_request_id_that_two_images_share_is_not_used() -> None:
    """Labels of a request id with two images are ambiguous; the same image twice is not."""
    shared = [
        prediction("a", "1" * 64),
        prediction("a", "2" * 64),
        prediction("b", seed=1),
        prediction("b", seed=2),
    ]
    joined = join_labels(latest_feedback([feedback("a", "ROUND"), feedback("b", "ROUND")]), shared)
    assert (joined.labelled, joined.ambiguous) == ([], 2)
    twice = join_labels(
        latest_feedback([feedback("a", "ROUND")]),
        [prediction("a", "1" * 64), prediction("a", "1" * 64)],
    )
    assert len(twice.labelled) == 1


def test_a_request_id_that_is_used_again_for_the_same_image_counts_once() -> None:
    """Also if another model predicted, or only one of the two images was kept."""
    other_model = prediction("b", seed=2, tag="cells:2", minutes=1)
    pairs = [
        [prediction("a", "1" * 64), prediction("a", "1" * 64, minutes=1)],
        [prediction("b", seed=1), other_model],
        [prediction("c", "3" * 64, seed=3), prediction("c", seed=3, minutes=1)],
    ]
    labels = [feedback(name, "ROUND", 2) for name in "abc"]
    joined = join_labels(latest_feedback(labels), [one for pair in pairs for one in pair])
    assert (len(joined.labelled), joined.unknown, joined.ambiguous) == (3, 0, 0)
    assert agreement_by_model(joined.labelled)["cells:2"] == Agreement(labels=1, agreeing=1)
    assert labels_by_path(joined.labelled) == {f"2026-11-22/{n * 64}.png": "ROUND" for n in "13"}


def test_a_kept_and_another_image_are_ambiguous() -> None:
    """Different image statistics mean different images, also if one was not kept."""
    other = prediction("a").model_copy(
        update={"stats": prediction("a").stats.model_copy(update={"red": 9.0})}
    )
    assert (
        join_labels(
            latest_feedback([feedback("a", "ROUND")]), [prediction("a", "1" * 64), other]
        ).ambiguous
        == 1
    )


def test_the_last_label_of_an_image_counts_also_across_requests() -> None:
    """An image of two requests has one label; an image that was not kept has none."""
    predictions = [prediction("a", "1" * 64), prediction("b", "1" * 64), prediction("c")]
    lines = [feedback("b", "LOBED", 2), feedback("a", "ROUND", 1), feedback("c", "ROUND")]
    labels = labels_by_path(join_labels(latest_feedback(lines), predictions).labelled)
    assert labels == {f"2026-11-22/{'1' * 64}.png": "LOBED"}


def test_agreement_is_counted_for_the_model_that_predicted() -> None:
    """The model that was served when the label was returned does not matter."""
    predictions = [prediction("a"), prediction("b", tag="cells:0"), prediction("c", seed=3)]
    lines = [feedback("a", "ROUND"), feedback("b", "ROUND"), feedback("c", "LOBED")]
    assert agreement_by_model(join_labels(latest_feedback(lines), predictions).labelled) == {
        "cells:0": Agreement(labels=1, agreeing=1),
        "cells:1": Agreement(labels=2, agreeing=1),
    }


def test_a_label_in_another_spelling_of_the_class_agrees() -> None:
    """The model that was served when the label was returned may have another spelling."""
    (one,) = join_labels(latest_feedback([feedback("a", "Round")]), [prediction("a")]).labelled
    assert one.agrees
