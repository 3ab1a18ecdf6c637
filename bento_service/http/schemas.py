"""What the routes take and return."""

from datetime import datetime
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from pipeline.artifacts import Parity
from pipeline.contract.box import CellBox
from pipeline.contract.decision import Code, Verdict
from pipeline.contract.spec import ModelContract

REQUEST_ID = "[A-Za-z0-9._-]{1,64}"
"""What a caller's own request id may be."""
_UNSEEN = "\\x00-\\x1f\\x7f-\\x9f\\u200b-\\u200f\\u2028-\\u202e\\u2060-\\u206f\\ufeff"
"""Characters that break lines, turn text around, or show nothing."""
Reviewer = Annotated[
    str,
    StringConstraints(
        min_length=1, max_length=80, pattern=rf"^[^{_UNSEEN}]*[^\s{_UNSEEN}][^{_UNSEEN}]*$"
    ),
]


class _Answer(BaseModel):
    model_config = ConfigDict(frozen=True)


class Reason(_Answer):
    """Why a person should look at an image."""

    code: Code
    message: str


class Classification(_Answer):
    """The answer to one image."""

    label: str
    probabilities: dict[str, float]
    """Class to probability, in the contract's order."""
    decision: Verdict
    reasons: tuple[Reason, ...]
    """Empty when the decision is `accept`."""
    uncertainty: float
    """Largest ratio of a measure to its review limit, 0 to 100; above 1 means `review`."""
    cell: CellBox
    """The square the network saw, in pixels of the upright image; it may reach over the border."""
    cell_found: bool
    width: int
    """Of the upright image, in pixels."""
    height: int
    tag: str
    """The model that answered."""
    request_id: str


class Share(_Answer):
    """One class of a differential."""

    label: str
    count: int
    percent: float
    low: float
    """With `high` the exact 95 % interval, in percent."""
    high: float
    review: int
    """Of `count`, how many a person should look at."""


class Failure(_Answer):
    """A file that was not counted."""

    index: int
    """Its place among the files sent, from 0."""
    code: str
    message: str


class Answered(_Answer):
    """How many files were answered, and how."""

    images: int
    review: int
    failed: int


class Differential(_Answer):
    """How often each class was answered; no diagnosis."""

    shares: tuple[Share, ...]
    """In the contract's order."""
    answered: Answered
    warnings: tuple[str, ...]
    failures: tuple[Failure, ...]
    tag: str
    request_id: str
    """Of the image at place i, the prediction log says `<request_id>.<i>`."""


class LegacyRequest(BaseModel):
    """The body of the replaced application's `/predict`."""

    image: str = Field(
        min_length=1,
        description="A JPEG or PNG as base64",
        json_schema_extra={"format": "byte"},
    )


class LegacyPrediction(_Answer):
    """One entry of the replaced application's answer."""

    image: str = Field(description="The predicted class")


class TrainRequest(BaseModel):
    """Why somebody wants a new model."""

    model_config = ConfigDict(extra="forbid")

    reason: str = Field(min_length=3, max_length=500)


class TrainStarted(_Answer):
    """The Airflow run that was asked for."""

    run_id: str
    url: str


class FeedbackRequest(BaseModel):
    """What a person says of an answer."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    request_id: str = Field(
        pattern=rf"^{REQUEST_ID}(\.[0-9]{{1,3}})?$",
        description="Of the answer; `<request_id>.<i>` for file i of a differential, from 0",
    )
    label: str = Field(min_length=1, max_length=100, description="A class of the served model")
    reviewer: Reviewer = Field(description="Who says so")


class FeedbackTaken(_Answer):
    """What becomes of a returned label."""

    request_id: str
    label: str
    enters_dataset: bool
    """Whether this service keeps images, so that the label can be trained on."""
    message: str


class Move(_Answer):
    """How the served model came to be served."""

    sequence: int
    author: str
    reason: str
    time: datetime


class Lineage(_Answer):
    """Where the served bundle came from."""

    run_id: str
    code_version: str
    created_at: datetime
    tracking_run: str
    inputs: dict[str, str]


class ReviewLimits(_Answer):
    """What an answer must keep to be accepted; learned on held-out cells."""

    min_confidence: float
    max_distance: float
    """Of the embedding to the training images', in standard deviations."""


class ModelCard(_Answer):
    """What is served, and what it may be used for."""

    tag: str
    digest: str
    contract: ModelContract
    review: ReviewLimits
    parity: Parity
    metrics: dict[str, Any]
    """Scores on held-out cells as the training run wrote them; empty when it wrote none."""
    lineage: Lineage
    promoted: Move | None
    """None for a model that is baked into an image."""
    predictions_logged: bool
    """False where the service has no store: monitoring then sees none of its answers."""
    limits: tuple[str, ...]
