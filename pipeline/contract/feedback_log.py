"""Log line of a returned label: a reviewer's class for a prediction."""

from datetime import datetime

from pydantic import BaseModel, ConfigDict


class FeedbackRecord(BaseModel):
    """A line of `feedback/<name>/<date>/<worker>-<seq>.jsonl`; no other log has a person's name."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    request_id: str
    """Request id of the prediction; `<request_id>.<i>` for file i of a differential."""
    label: str
    """A class of the model that was served when the label was returned."""
    reviewer: str
    """The reviewer's name, as the client claims; it is not authenticated."""
    time: datetime
    tag: str
    """Tag of the model served when the label was returned; another model may have predicted."""
