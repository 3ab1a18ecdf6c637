"""Which answer a returned label speaks of, and what that says of the model: no store, no clock."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from pipeline.contract.feedback import FeedbackRecord
from pipeline.contract.prediction_log import PredictionRecord, kept_path
from pipeline.records import Frozen


@dataclass(frozen=True)
class Labelled:
    """An answer, and the last label that a person gave to its request."""

    answer: PredictionRecord
    said: FeedbackRecord

    @property
    def agrees(self) -> bool:
        """Whether the model had answered that label."""
        return self.answer.label == self.said.label


@dataclass(frozen=True)
class Joined:
    """Labels beside their answers."""

    labelled: list[Labelled]
    """In order of their labels' time."""
    unknown: int
    """Labels of requests that the log does not know."""
    ambiguous: int
    """Labels of request ids that several images share: callers choose ids, and nobody can tell
    which of the images the person saw."""


class Agreement(Frozen):
    """How one model's answers fared with people."""

    labels: int
    agreeing: int


def latest(feedback: Iterable[FeedbackRecord]) -> dict[str, FeedbackRecord]:
    """The last label of each request id."""
    ordered = sorted(feedback, key=lambda said: (said.time, said.label))
    return {said.request_id: said for said in ordered}


def join(said: dict[str, FeedbackRecord], answers: Iterable[PredictionRecord]) -> Joined:
    """Find the answer of each request's last label."""
    given: dict[str, list[PredictionRecord]] = defaultdict(list)
    for answer in answers:
        if answer.request_id in said:
            given[answer.request_id].append(answer)
    clear = {name: found for name, found in given.items() if _one_image(found)}
    labelled = [
        # Of several answers one with a kept image, which can be trained on; else the last.
        Labelled(max(found, key=lambda answer: (bool(answer.image), answer.time)), said[name])
        for name, found in clear.items()
    ]
    return Joined(
        sorted(labelled, key=lambda one: (one.said.time, one.said.request_id)),
        unknown=len(said) - len(given),
        ambiguous=len(given) - len(clear),
    )


def kept(labelled: Sequence[Labelled]) -> dict[str, str]:
    """The last label of each kept image, by its path below `kept/<name>/`."""
    by_image = {one.answer.image: one for one in labelled if one.answer.image}
    return {
        kept_path(one.answer.time, image): one.said.label for image, one in sorted(by_image.items())
    }


def agreement(labelled: Iterable[Labelled]) -> dict[str, Agreement]:
    """Labels and agreeing labels, by the tag of the model that had answered."""
    counts: dict[str, Counter[bool]] = defaultdict(Counter)
    for one in labelled:
        counts[one.answer.tag][one.agrees] += 1
    return {
        tag: Agreement(labels=count.total(), agreeing=count[True])
        for tag, count in sorted(counts.items())
    }


def _one_image(answers: Sequence[PredictionRecord]) -> bool:
    """Whether all answers to one request id are of the same image.

    The hashes of kept images tell. Without them equal statistics do, and with each model an equal
    embedding, which is another one with every model.
    """
    kept_images = {answer.image for answer in answers}
    if "" not in kept_images:
        return len(kept_images) == 1
    models = {answer.tag for answer in answers}
    return (
        len(kept_images - {""}) <= 1
        and len({answer.stats for answer in answers}) == 1
        and len({(answer.tag, answer.embedding) for answer in answers}) == len(models)
    )
