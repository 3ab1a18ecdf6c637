"""Archives that cannot be ingested: skipped when no caller named them, and remembered."""

import logging
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import PurePosixPath

from pydantic import ValidationError

from pipeline.adapters.artifact_store import ArtifactStore
from pipeline.artifacts import ArchiveManifest, Artifact, RefusedArchive
from pipeline.contract.class_names import by_canonical, canonical, did_you_mean
from pipeline.errors import BucketError, InvalidInputError, MissingArtifactError
from pipeline.records import Frozen, Record

_log = logging.getLogger(__name__)

_LABELS_SHOWN = 3
Ingested = Artifact[ArchiveManifest]


class StoredRefusal(Frozen):
    """`ingested/<name>/<key>.refused.json`: why an archive's content was refused, and by what."""

    source: str
    code_version: str
    message: str
    expected: str
    received: str


def ingest_usable(
    uploaded: Mapping[str, str],
    ingest_one: Callable[[str], Ingested],
    fault: Callable[[Ingested], str],
    require_access: Callable[[], object],
) -> tuple[list[Ingested], list[RefusedArchive]]:
    """Ingest uploaded archives, and skip those that cannot be used, each with a warning.

    If every archive that can be read has a fault, none of these is skipped: validation then refuses
    their images, with a report.

    Args:
        uploaded: URI to ETag.
        ingest_one: ingests the archive of a URI.
        fault: why no image of an ingested archive can be used; '' if one can.
        require_access: raises if the store denies access to all archives, not to one.

    Raises:
        InvalidInputError: when no archive can be ingested; has every reason.
        UnreachableError: when the store does not respond, or denies access to all.
    """
    ingested: dict[str, Ingested] = {}
    reasons: dict[str, str] = {}
    for uri in sorted(uploaded):
        try:
            ingested[uri] = ingest_one(uri)
        except (InvalidInputError, MissingArtifactError) as error:
            reasons[uri] = str(error)
        except BucketError as error:
            # The error of another object is not this archive's: the store may deny writing.
            if error.received != uri:
                raise
            require_access()
            reasons[uri] = str(error)
    faults = {uri: why for uri, archive in ingested.items() if (why := fault(archive))}
    if len(faults) < len(ingested):
        reasons |= faults
    refused = [
        RefusedArchive(uri=uri, etag=uploaded[uri], reason=why)
        for uri, why in sorted(reasons.items())
    ]
    for archive in refused:
        _log.warning("ingest: skipped %s: %s", archive.uri, archive.reason)
    if not ingested:
        raise InvalidInputError(
            "none of the uploaded archives can be ingested: correct or remove them",
            received=summary(refused),
        )
    return [archive for uri, archive in ingested.items() if uri not in reasons], refused


def foreign_labels(records: Sequence[Record], classes: Sequence[str]) -> str:
    """Why no record of an archive can be used: no label is a class; '' if one is."""
    known = by_canonical(classes)
    labels = Counter(record.label for record in records)
    if any(canonical(label) in known for label in labels):
        return ""
    shown = ", ".join(repr(label) for label, _ in labels.most_common(_LABELS_SHOWN))
    questions = filter(None, (did_you_mean(label, classes) for label in labels))
    proposed = next(questions, "")
    return (
        f"no image is in a folder named like a class; expected one of {', '.join(classes)}; "
        f"received {shown}" + (f": {proposed}" if proposed else "")
    )


def summary(refused: Sequence[RefusedArchive]) -> str:
    """Refused archives as one sentence: each file name with its reason."""
    return "; ".join(f"{PurePosixPath(a.uri).name}: {a.reason}" for a in refused)


def remember_refusal(
    uri: str, source: str, error: InvalidInputError, code_version: str, *, store: ArtifactStore
) -> None:
    """Store at `uri` why an archive was refused, so that later runs need not download it."""
    refusal = StoredRefusal(
        source=source,
        code_version=code_version,
        message=error.message,
        expected=error.expected,
        received=error.received,
    )
    store.objects.write(uri, refusal.model_dump_json(indent=2).encode())


def raise_if_remembered(uri: str, code_version: str, *, store: ArtifactStore) -> None:
    """Raise the InvalidInputError stored at `uri`, if this version of the code stored it."""
    stored = store.objects.read_tagged(uri)
    if stored is None:
        return
    try:
        refusal = StoredRefusal.model_validate_json(stored[0])
    except ValidationError as error:
        _log.warning("ingest: %s is damaged (%s); reading the archive again", uri, error)
        return
    if refusal.code_version == code_version:
        raise InvalidInputError(
            refusal.message, expected=refusal.expected, received=refusal.received
        )
