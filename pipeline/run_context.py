"""RunContext: run id, code version and start time, passed to every step."""

from datetime import UTC, datetime

from pydantic import BaseModel, ConfigDict


class RunContext(BaseModel):
    """Identity of one run, recorded in every manifest it writes."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    run_id: str
    code_version: str
    created_at: datetime

    @classmethod
    def now(cls, run_id: str, code_version: str) -> "RunContext":
        """Context of a run that starts now, in UTC."""
        return cls(run_id=run_id, code_version=code_version, created_at=datetime.now(UTC))
