"""The errors that people see: what is wrong, what was expected, what was received."""

import tempfile


class PipelineError(Exception):
    """Base of every expected failure; `exit_code` is what the command line returns."""

    exit_code = 2

    def __init__(self, message: str, *, expected: str = "", received: str = "") -> None:
        self.message, self.expected, self.received = message, expected, received
        details = [
            f"{word} {value}"
            for word, value in (("expected", expected), ("received", received))
            if value
        ]
        super().__init__("; ".join([message, *details]))


class InvalidInputError(PipelineError):
    """An archive, image, option or config that cannot be used as it is."""


class GateRefusedError(PipelineError):
    """A gate said no: a result, not a fault."""

    exit_code = 1


class ArtifactError(PipelineError):
    """An artefact is missing, half-written or does not match its manifest."""

    reason = "unfit"
    """What is wrong in a word, for whoever counts refusals."""


class MissingArtifactError(ArtifactError):
    """An artefact or one of its files is not there."""

    reason = "missing"


class ChangedArtifactError(ArtifactError):
    """An artefact holds something else than its manifest or its address says."""

    reason = "changed"


class GoldenError(ArtifactError):
    """A model answers a golden image differently from what training saw."""

    reason = "golden"


class SlowModelError(ArtifactError):
    """A model takes too long to load or to answer."""

    reason = "slow"


class ConflictError(PipelineError):
    """A compare-and-set lost: somebody else wrote first."""

    exit_code = 1


class StaleVerdictError(PipelineError):
    """A person approved a verdict against a champion that no longer serves; a retry cannot help."""

    exit_code = 1


class UnreachableError(PipelineError):
    """A part of the stack does not answer."""

    exit_code = 3


class BucketError(UnreachableError):
    """The store answers, but its bucket does not exist or access to it is denied."""

    exit_code = 2


class DiskFullError(PipelineError):
    """No room for what had to be written; what was finished before stands."""

    exit_code = 4

    @classmethod
    def of(cls, error: OSError) -> "DiskFullError":
        """In place of the operating system's error, which may not say where."""
        path = error.filename2 or error.filename
        where = f" for {path}" if path else ""
        return cls(
            f"the disk is full{where}: free some and run this again, what was finished stands",
            expected=f"room in STORE_URI, LEUKOFLOW_HOME and {tempfile.gettempdir()}",
            received=error.strerror or str(error),
        )
