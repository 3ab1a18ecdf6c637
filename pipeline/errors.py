"""Errors for users: what is wrong, what was expected, what was received."""

import errno
import tempfile


class PipelineError(Exception):
    """Base of every expected failure; `exit_code` is the exit code of the command line."""

    exit_code = 2

    def __init__(self, message: str, *, expected: str = "", received: str = "") -> None:
        self.message, self.expected, self.received = message, expected, received
        details = (expected and f"; expected {expected}", received and f"; received {received}")
        super().__init__("".join([message, *details]))


class InvalidInputError(PipelineError):
    """An invalid archive, image, option or config."""


class GateRefusedError(PipelineError):
    """The gate refused a model: a result, not a failure."""

    exit_code = 1


class ArtifactError(PipelineError):
    """An artefact is missing, incomplete or does not match its manifest."""

    reason = "unfit"
    """Label of the metric that counts refused models."""


class MissingArtifactError(ArtifactError):
    """An artefact or one of its files does not exist."""

    reason = "missing"


class ChangedArtifactError(ArtifactError):
    """The content of an artefact differs from its manifest or its URI."""

    reason = "changed"


class GoldenError(ArtifactError):
    """A model's prediction of a golden image differs from training's."""

    reason = "golden"


class SlowModelError(ArtifactError):
    """A model takes too long to load or to predict."""

    reason = "slow"


class ConflictError(PipelineError):
    """A compare-and-set failed: another writer was first. A retry may succeed."""

    exit_code = 1


class StaleVerdictError(PipelineError):
    """A person approved a verdict against a champion that no longer serves; do not retry."""

    exit_code = 1


class UnreachableError(PipelineError):
    """A part of the stack does not respond. A retry may succeed."""

    exit_code = 3


class BucketError(UnreachableError):
    """The store responds, but the bucket does not exist or access to it is denied."""

    exit_code = 2


class TrackingError(UnreachableError):
    """MLflow responds, but refuses the request; the message says why. No retry helps."""

    exit_code = 2


class DiskFullError(PipelineError):
    """The disk is full; what was finished before is intact."""

    exit_code = 4

    @classmethod
    def of(cls, error: OSError) -> "DiskFullError":
        """The error for an `OSError` of a full disk; says what to do, and the path if known."""
        path = error.filename2 or error.filename
        where = f" for {path}" if path else ""
        return cls(
            f"the disk is full{where}: free some space and run this again; finished work is intact",
            expected=f"free space in STORE_URI, LEUKOFLOW_HOME and {tempfile.gettempdir()}",
            received=error.strerror or str(error),
        )


def of_system(error: OSError) -> PipelineError | None:
    """The error for users of a full disk, a read-only folder or too many open files; else None."""
    path = error.filename2 or error.filename or "a file"
    reason = error.strerror or str(error)
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return DiskFullError.of(error)
    if error.errno in (errno.EROFS, errno.EACCES, errno.EPERM):
        return InvalidInputError(
            f"{path} cannot be read or written by this user",
            expected="STORE_URI, LEUKOFLOW_HOME, TMPDIR and output files where this user may write",
            received=reason,
        )
    if error.errno in (errno.EMFILE, errno.ENFILE):
        return InvalidInputError(
            f"no more files can be opened, such as {path}",
            expected="a higher limit: `ulimit -n 4096`",
            received=reason,
        )
    return None
