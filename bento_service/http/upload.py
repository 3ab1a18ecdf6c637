"""Files out of a multipart body: read from memory, and refused unless it is exactly that."""

from collections.abc import AsyncGenerator, Sequence
from http import HTTPStatus
from typing import TypeGuard

from starlette.datastructures import Headers, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser

from bento_service.http.bodies import Body
from bento_service.http.errors import Refusal

_NAMED = 7
"""Parts that an error names; so many too many still get an error in words."""


async def read_files(headers: Headers, body: bytes, wanted: Body) -> list[bytes]:
    """The bytes of the files in a multipart body.

    Args:
        headers: of the request; the content type names the boundary.
        body: the whole body.
        wanted: what the route takes.

    Raises:
        Refusal: 400 unless every part has the wanted name and a file name, and there are as many
            as the route takes.
    """
    parts = await _parse(headers, body, wanted.most)
    files = [part for name, part in parts if name == wanted.field and _is_file(part)]
    if not parts or len(files) != len(parts) or len(files) > wanted.most:
        many = wanted.most > 1
        raise Refusal(
            HTTPStatus.BAD_REQUEST,
            "not_files_alone" if many else "not_one_file",
            f"the body must hold {'files' if many else 'one file'} and nothing else",
            expected=f"{'up to ' * many}{wanted.most if many else 'one'} part{'s' * many} named "
            f"{wanted.field!r} with a file name",
            received=_received(parts),
        )
    return [await file.read() for file in files]


def _received(parts: Sequence[tuple[str, str | UploadFile]]) -> str:
    """The first few parts in words."""
    said = ", ".join(_describe(name, part) for name, part in parts[:_NAMED])
    more = len(parts) - _NAMED
    return (f"{said} and {more} more" if more > 0 else said) or "no parts"


class _InMemory(MultiPartParser):
    """Photographs of patients do not pass through temporary files."""

    spool_max_size = 0  # SpooledTemporaryFile: 0 never rolls over to the disk


async def _parse(headers: Headers, body: bytes, most: int) -> list[tuple[str, str | UploadFile]]:
    spare = most + _NAMED
    parser = _InMemory(headers, _once(body), max_files=spare, max_fields=spare)
    try:
        return (await parser.parse()).multi_items()
    except MultiPartException as error:
        raise Refusal(
            HTTPStatus.BAD_REQUEST,
            "bad_multipart",
            "the multipart body cannot be read",
            expected="RFC 7578 form data with no more files than the route takes",
            received=error.message,
        ) from error


async def _once(body: bytes) -> AsyncGenerator[bytes, None]:
    yield body


def _is_file(part: str | UploadFile) -> TypeGuard[UploadFile]:
    return isinstance(part, UploadFile) and bool(part.filename)


def _describe(name: str, part: str | UploadFile) -> str:
    """A part as an error may show it: never its content or its file name."""
    return f"{'a file' if _is_file(part) else 'a value'} named {name[:40]!r}"
