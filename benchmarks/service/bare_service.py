"""A BentoML service that does nothing: what of a start is BentoML's own."""

import bentoml


@bentoml.service(workers=1)
class Bare:
    """Answers one word."""

    @bentoml.api  # type: ignore[untyped-decorator]
    def ping(self) -> str:
        """Without any work."""
        return "pong"
