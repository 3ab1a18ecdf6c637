"""One line per returned label: what a person says of an answer."""

from datetime import datetime

from pydantic import BaseModel, ConfigDict


class FeedbackRecord(BaseModel):
    """A line of `feedback/<name>/<date>/<worker>-<seq>.jsonl`; no other line names a person."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    request_id: str
    """Of the answer; `<request_id>.<i>` for place i of a differential."""
    label: str
    """A class of the model that was served when the label came."""
    reviewer: str
    """Who says so, as the caller claims: nobody checks it."""
    time: datetime
    tag: str
    """The model served when the label came; the answer may be another's."""
