"""A BentoML service without any work: the baseline of the start time."""

import bentoml


@bentoml.service(workers=1)
class Bare:
    """A service with one endpoint."""

    @bentoml.api  # type: ignore[untyped-decorator]
    def ping(self) -> str:
        """Respond with a constant."""
        return "pong"
