"""Multipart upload: the files of a request body, parsed in memory by Starlette.

Every part must be a file. BentoML would accept a URL in place of a file and fetch it.
"""

import re
from collections.abc import AsyncGenerator, Sequence
from http import HTTPStatus
from typing import TypeGuard

from starlette.datastructures import Headers, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser

from bento_service.http.bodies import BodySpec
from bento_service.http.errors import HttpError

_MAX_NAMED_PARTS = 7
"""Parts that an error message names; so many parts too many still get a precise error."""


async def read_files(headers: Headers, body: bytes, spec: BodySpec) -> list[bytes]:
    """The bytes of each file in a multipart body; HttpError 400 for any other part.

    Args:
        headers: of the request; the content type holds the boundary.
        body: complete.
        spec: of the route.

    Raises:
        HttpError: 400 unless every part is a file with the expected field name, and their number
            is between 1 and the maximum of the route.
    """
    parts = await _parse(headers, body, spec.max_files)
    files = [part for name, part in parts if name == spec.field and _is_file(part)]
    if not parts or len(files) != len(parts) or len(files) > spec.max_files:
        raise _wrong_parts(parts, spec)
    return [await file.read() for file in files]


Part = tuple[str, str | UploadFile]


def _wrong_parts(parts: Sequence[Part], spec: BodySpec) -> HttpError:
    """400: the parts are not exactly the files that the route takes."""
    many = spec.max_files > 1
    return HttpError(
        HTTPStatus.BAD_REQUEST,
        "not_files_alone" if many else "not_one_file",
        f"the body must contain {'files' if many else 'one file'} and nothing else",
        expected=f"{'up to ' * many}{spec.max_files if many else 'one'} part{'s' * many} named "
        f"{spec.field!r} with a file name",
        received=_received(parts),
    )


def _received(parts: Sequence[Part]) -> str:
    """The first parts and the number of the others, for an error message."""
    named = ", ".join(_describe(name, part) for name, part in parts[:_MAX_NAMED_PARTS])
    more = len(parts) - _MAX_NAMED_PARTS
    return (f"{named} and {more} more" if more > 0 else named) or "no parts"


_FILE_NAME = re.compile(rb";\s*filename\s*=", re.IGNORECASE)
_EXTENDED = re.compile(rb"(;\s*filename)\*[\d*]*=", re.IGNORECASE)


class _InMemoryParser(MultiPartParser):
    """Starlette's parser without temporary files, which would hold photographs of patients."""

    spool_max_size = 0  # SpooledTemporaryFile never writes to disk with 0

    def on_headers_finished(self) -> None:
        """Begin a part, which is also a file if it has its name in the form of RFC 5987 only.

        RFC 7578 forbids that form; urllib3 1 (requests) uses it for a name that is not ASCII.
        """
        disposition = self._current_part.content_disposition or b""
        if not _FILE_NAME.search(disposition):
            self._current_part.content_disposition = _EXTENDED.sub(rb"\1=", disposition)
        super().on_headers_finished()


async def _parse(headers: Headers, body: bytes, max_files: int) -> list[Part]:
    """Name and content of each part, in memory; HttpError 400 for an invalid body."""
    limit = max_files + _MAX_NAMED_PARTS
    parser = _InMemoryParser(headers, _stream(body), max_files=limit, max_fields=limit)
    try:
        return (await parser.parse()).multi_items()
    except MultiPartException as error:
        raise HttpError(
            HTTPStatus.BAD_REQUEST,
            "bad_multipart",
            "the multipart body cannot be parsed",
            expected="RFC 7578 form data with no more files than the route accepts",
            received=error.message,
        ) from error


async def _stream(body: bytes) -> AsyncGenerator[bytes, None]:
    yield body


def _is_file(part: str | UploadFile) -> TypeGuard[UploadFile]:
    """Whether a part is a file with a name; narrows its type."""
    return isinstance(part, UploadFile) and bool(part.filename)


def _describe(name: str, part: str | UploadFile) -> str:
    """A part for an error message: never its content or its file name."""
    return f"{'a file' if _is_file(part) else 'a value'} named {name[:40]!r}"
