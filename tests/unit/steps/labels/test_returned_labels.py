"""Labels find their answers, the last one wins, and what is not clear is not used."""

from datetime import UTC, datetime, timedelta

from pipeline.contract.feedback import FeedbackRecord
from pipeline.contract.image_stats import ImageStats
from pipeline.contract.prediction_log import PredictionRecord
from pipeline.steps.labels.returned_labels import Agreement, agreement, join, kept, latest

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


def answer(
    request_id: str,
    image: str = "",
    label: str = "ROUND",
    tag: str = "cells:1",
    seed: float = 0,
    minutes: int = 0,
) -> PredictionRecord:
    """An answer given at noon, or so long after."""
    numbers = dict.fromkeys(ImageStats.model_fields, 0)
    return PredictionRecord(
        request_id=request_id, time=NOON + timedelta(minutes=minutes), tag=tag, label=label,
        route="/classify", decision="accept", probabilities={label: 1.0}, cell_found=True,
        stats=ImageStats.model_validate(numbers), embedding=(seed,), image=image,
    )  # fmt: skip


def said(request_id: str, label: str, minutes: int = 0) -> FeedbackRecord:
    """A label that came so long after noon."""
    time = NOON + timedelta(minutes=minutes)
    return FeedbackRecord(
        request_id=request_id, label=label, reviewer="Ada", time=time, tag="cells:2"
    )


def test_the_last_label_of_a_request_counts() -> None:
    """Whatever order the lines are read in."""
    lines = [said("a", "LOBED", 2), said("a", "ROUND", 3), said("a", "LOBED", 1)]
    (one,) = join(latest(lines), [answer("a")]).labelled
    assert one.said.label == "ROUND"
    assert one.agrees


def test_a_label_of_an_unknown_request_is_counted() -> None:
    """It may be of another model's name, or older than what is read."""
    joined = join(latest([said("a", "ROUND"), said("b", "ROUND")]), [answer("a")])
    assert (len(joined.labelled), joined.unknown, joined.ambiguous) == (1, 1, 0)


def test_a_request_id_that_two_images_share_is_not_used() -> None:
    """Nobody can tell which one the person saw; the same image asked twice is clear."""
    shared = [
        answer("a", "1" * 64),
        answer("a", "2" * 64),
        answer("b", seed=1),
        answer("b", seed=2),
    ]
    joined = join(latest([said("a", "ROUND"), said("b", "ROUND")]), shared)
    assert (joined.labelled, joined.ambiguous) == ([], 2)
    twice = join(latest([said("a", "ROUND")]), [answer("a", "1" * 64), answer("a", "1" * 64)])
    assert len(twice.labelled) == 1


def test_a_request_id_that_is_used_again_for_the_same_image_counts_once() -> None:
    """Also when another model answered, or the image was kept the second time only."""
    other_model = answer("b", seed=2, tag="cells:2", minutes=1)
    pairs = [
        [answer("a", "1" * 64), answer("a", "1" * 64, minutes=1)],
        [answer("b", seed=1), other_model],
        [answer("c", "3" * 64, seed=3), answer("c", seed=3, minutes=1)],
    ]
    given = [said(name, "ROUND", 2) for name in "abc"]
    joined = join(latest(given), [one for pair in pairs for one in pair])
    assert (len(joined.labelled), joined.unknown, joined.ambiguous) == (3, 0, 0)
    assert agreement(joined.labelled)["cells:2"] == Agreement(labels=1, agreeing=1)
    assert kept(joined.labelled) == {f"2026-11-22/{n * 64}.png": "ROUND" for n in "13"}


def test_one_image_kept_and_another_not_are_two() -> None:
    """The statistics of two photographs differ, kept or not."""
    other = answer("a").model_copy(
        update={"stats": answer("a").stats.model_copy(update={"red": 9.0})}
    )
    assert join(latest([said("a", "ROUND")]), [answer("a", "1" * 64), other]).ambiguous == 1


def test_the_last_label_of_an_image_counts_also_across_requests() -> None:
    """One image asked about twice goes into the dataset once; an image not kept, never."""
    answers = [answer("a", "1" * 64), answer("b", "1" * 64), answer("c")]
    lines = [said("b", "LOBED", 2), said("a", "ROUND", 1), said("c", "ROUND")]
    labels = kept(join(latest(lines), answers).labelled)
    assert labels == {f"2026-11-22/{'1' * 64}.png": "LOBED"}


def test_agreement_is_told_of_the_model_that_answered() -> None:
    """Not of the one that was served when the label came."""
    answers = [answer("a"), answer("b", tag="cells:0"), answer("c", seed=3)]
    lines = [said("a", "ROUND"), said("b", "ROUND"), said("c", "LOBED")]
    assert agreement(join(latest(lines), answers).labelled) == {
        "cells:0": Agreement(labels=1, agreeing=1),
        "cells:1": Agreement(labels=2, agreeing=1),
    }
