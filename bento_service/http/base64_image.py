"""Image in a JSON text: base64 in either alphabet, or a `data:` URL with base64."""

import base64
import binascii
import re
from http import HTTPStatus
from urllib.parse import unquote

from bento_service.http.errors import HttpError

EXPECTED = "a JPEG, PNG or BMP as base64 or as a data URL with base64"
_DATA_URL = re.compile(r"data:(?:[^,\"]|\"[^\"]*\")*?;\s*base64\s*,", re.IGNORECASE)
_URL = re.compile(r"([a-z][a-z0-9+.-]*):", re.IGNORECASE)
_LOST_PLUS = re.compile(r"\S +\S")
"""Blanks within a line, which a form makes of `+`; those around a line break are indentation."""
_MAX_PADDING = 2


def decode_image(text: str) -> bytes:
    """Bytes of a base64 text or data URL; fetches nothing.

    Accepts the standard and the URL-safe alphabet, missing padding, line breaks and indentation,
    and percent-encoding.

    Raises:
        HttpError: 422 for any other text, and for one that can be read in two ways.
    """
    data = _without_prefix(text.strip("\ufeff \t\r\n"))
    if "%" in data:
        data = unquote(data, errors="replace").strip()
    if " " in data and _LOST_PLUS.search(data):
        raise _invalid("blanks within a line; a form encoding turns '+' into a space")
    data = "".join(data.split())
    url_safe = "-" in data or "_" in data
    if url_safe and ("+" in data or "/" in data):
        raise _invalid("characters of both alphabets, '+/' and '-_'")
    stripped = data.rstrip("=")
    if not stripped:
        raise _invalid("no data")
    if len(data) - len(stripped) > _MAX_PADDING:
        raise _invalid(f"more than {_MAX_PADDING} padding characters")
    try:
        padded = stripped + "=" * (-len(stripped) % 4)
        return base64.b64decode(padded, altchars="-_" if url_safe else None, validate=True)
    except (binascii.Error, ValueError) as error:
        raise _invalid(str(error)) from error


def _without_prefix(text: str) -> str:
    """The base64 part of a data URL, else the text; HttpError for another URL."""
    if match := _DATA_URL.match(text):
        return text[match.end() :].strip()
    match = _URL.match(text)
    if match is None:
        return text
    if match[1].lower() == "data":
        raise _invalid("a data URL without ';base64,'")
    raise HttpError(
        HTTPStatus.UNPROCESSABLE_ENTITY,
        "invalid_base64",
        "the image is a URL, and the service fetches none",
        expected=EXPECTED,
        received=f"a URL that begins with {match[1][:20].lower()}:",
    )


def _invalid(received: str) -> HttpError:
    """422: the text is not base64."""
    return HttpError(
        HTTPStatus.UNPROCESSABLE_ENTITY,
        "invalid_base64",
        "the image is not valid base64",
        expected=EXPECTED,
        received=received,
    )
