"""Files out of a multipart body: read from memory, and refused unless it is exactly that."""

from collections.abc import AsyncGenerator
from http import HTTPStatus

from starlette.datastructures import Headers, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser

from bento_service.refusal import Refusal


async def read_file(headers: Headers, body: bytes, field: str) -> bytes:
    """The bytes of the one file in a multipart body.

    Args:
        headers: of the request; the content type names the boundary.
        body: the whole body.
        field: name that the part must have.

    Raises:
        Refusal: 400 unless the body is one part of this name with a file name.
    """
    parts = await _parse(headers, body)
    files = [(name, part) for name, part in parts if _is_file(part)]
    if len(parts) != 1 or len(files) != 1 or files[0][0] != field:
        raise Refusal(
            HTTPStatus.BAD_REQUEST,
            "not_one_file",
            "the body must hold one file and nothing else",
            expected=f"one part named {field!r} with a file name",
            received=", ".join(_describe(name, part) for name, part in parts) or "no parts",
        )
    upload = files[0][1]
    assert isinstance(upload, UploadFile)
    return await upload.read()


class _InMemory(MultiPartParser):
    """Photographs of patients do not pass through temporary files."""

    spool_max_size = 0  # SpooledTemporaryFile: 0 never rolls over to the disk


async def _parse(headers: Headers, body: bytes) -> list[tuple[str, str | UploadFile]]:
    parser = _InMemory(headers, _once(body), max_files=8, max_fields=8)
    try:
        return (await parser.parse()).multi_items()
    except MultiPartException as error:
        raise Refusal(
            HTTPStatus.BAD_REQUEST,
            "bad_multipart",
            "the multipart body cannot be read",
            expected="RFC 7578 form data with one file",
            received=error.message,
        ) from error


async def _once(body: bytes) -> AsyncGenerator[bytes, None]:
    yield body


def _is_file(part: str | UploadFile) -> bool:
    return isinstance(part, UploadFile) and bool(part.filename)


def _describe(name: str, part: str | UploadFile) -> str:
    """A part as an error may show it: never its content or its file name."""
    return f"{'a file' if _is_file(part) else 'a value'} named {name[:40]!r}"
