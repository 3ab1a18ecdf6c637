"""JSON bodies of requests and responses."""

from datetime import datetime
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints

from pipeline.artifacts import Parity
from pipeline.contract.cell_box import CellBox
from pipeline.contract.decision import ReasonCode, ReviewDecision
from pipeline.contract.model_contract import ModelContract

REQUEST_ID = "[A-Za-z0-9._-]{1,64}"
"""Pattern of a request id that a client may choose."""
_INVISIBLE = "\\x00-\\x1f\\x7f-\\x9f\\u200b-\\u200f\\u2028-\\u202e\\u2060-\\u206f\\ufeff"
"""Control, bidirectional and zero-width characters."""
Reviewer = Annotated[
    str,
    StringConstraints(
        min_length=1, max_length=80, pattern=rf"^[^{_INVISIBLE}]*[^\s{_INVISIBLE}][^{_INVISIBLE}]*$"
    ),
]


def _require_number(value: Any) -> Any:
    """The value; ValueError for a boolean or text, which pydantic would convert."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError("must be an integer")
    return value


_JsonInteger = Annotated[int, BeforeValidator(_require_number)]
"""Integer as JSON Schema defines it: 3 and 3.0, neither `true` nor "3"."""


class _Response(BaseModel):
    model_config = ConfigDict(frozen=True)


class Reason(_Response):
    """Reason for the decision `review`."""

    code: ReasonCode
    message: str


class Classification(_Response):
    """Response to one image."""

    label: str
    probabilities: dict[str, float]
    """Class to probability, in the contract's order."""
    decision: ReviewDecision
    reasons: tuple[Reason, ...]
    """Empty when the decision is `accept`."""
    uncertainty: float
    """Largest ratio of a measure to its review limit, 0 to 100; above 1 means `review`."""
    cell: CellBox
    """Square seen by the network, in pixels of the upright image; may extend beyond it."""
    cell_found: bool
    width: int
    """Of the upright image, in pixels."""
    height: int
    tag: str
    """Tag of the model."""
    request_id: str


class Share(_Response):
    """Share of one class in a differential."""

    label: str
    count: int
    percent: float
    low: float
    """Bounds of the exact 95 % interval, in percent; with `high`."""
    high: float
    review: int
    """Cells to review, out of `count`."""


class Failure(_Response):
    """A file that could not be classified."""

    index: int
    """Index among the uploaded files, from 0."""
    code: str
    message: str


class DifferentialTotals(_Response):
    """Number of classified images, of those to review, and of failed files."""

    images: int
    review: int
    failed: int


class Differential(_Response):
    """Response to many images: share of each class; not a diagnosis."""

    shares: tuple[Share, ...]
    """In the contract's order."""
    answered: DifferentialTotals
    warnings: tuple[str, ...]
    failures: tuple[Failure, ...]
    tag: str
    request_id: str
    """The prediction log names image i `<request_id>.<i>`."""


class ClassCount(BaseModel):
    """Cells of one class, by decision."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    label: str = Field(min_length=1, max_length=100)
    accepted: _JsonInteger = Field(ge=0, le=1_000_000)
    review: _JsonInteger = Field(ge=0, le=1_000_000)


class DifferentialCounts(BaseModel):
    """Cells per class that were classified, and perhaps corrected, before."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    counts: tuple[ClassCount, ...] = Field(min_length=1, max_length=100)


class CountedDifferential(_Response):
    """Share of each class in a differential that was counted before; not a diagnosis."""

    shares: tuple[Share, ...]
    """In the order of the request."""
    warnings: tuple[str, ...]


class LegacyRequest(BaseModel):
    """The body of the replaced application's `/predict`."""

    image: str = Field(
        min_length=1,
        description="A JPEG, PNG or BMP as base64, or as a data URL with base64",
        json_schema_extra={"format": "byte"},
    )


class LegacyPrediction(_Response):
    """One entry of the replaced application's response."""

    image: str = Field(description="The predicted class")


class TrainRequest(BaseModel):
    """Request for a training run."""

    model_config = ConfigDict(extra="forbid")

    reason: str = Field(min_length=3, max_length=500)


class TrainStarted(_Response):
    """The triggered Airflow run."""

    run_id: str
    url: str


class FeedbackRequest(BaseModel):
    """Label that a person assigns to a classified image."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    request_id: str = Field(
        pattern=rf"^{REQUEST_ID}(\.[0-9]{{1,3}})?$",
        description="Of the response; `<request_id>.<i>` for file i of a differential, from 0",
    )
    label: str = Field(min_length=1, max_length=100, description="A class of the served model")
    reviewer: Reviewer = Field(description="Name of the person, not verified")


class FeedbackReceipt(_Response):
    """Response to feedback."""

    request_id: str
    label: str
    enters_dataset: bool
    """Whether the image was kept, so that the label can enter a dataset."""
    message: str


class PromotionEntry(_Response):
    """Promotion of the served model."""

    sequence: int
    author: str
    reason: str
    time: datetime


class Lineage(_Response):
    """Provenance of the served bundle."""

    run_id: str
    code_version: str
    created_at: datetime
    tracking_run: str
    inputs: dict[str, str]


class ReviewLimits(_Response):
    """Limits of the review rule, fitted on held-out cells."""

    min_confidence: float
    max_distance: float
    """From the embedding to the mean of the training images, in standard deviations."""


class ModelCard(_Response):
    """The served model and its limits of use."""

    tag: str
    digest: str
    contract: ModelContract
    review: ReviewLimits
    parity: Parity
    metrics: dict[str, Any]
    """Scores of the training run on held-out cells; may be empty."""
    lineage: Lineage
    promoted: PromotionEntry | None
    """None for a model baked into the image."""
    predictions_logged: bool
    """False without a store; monitoring then sees no predictions."""
    limits: tuple[str, ...]
