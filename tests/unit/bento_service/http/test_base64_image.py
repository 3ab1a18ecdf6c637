"""Base64 texts and data URLs as clients write them."""

import base64
import textwrap
from urllib.parse import quote

import pytest

from bento_service.http.base64_image import decode_image
from bento_service.http.errors import HttpError

DATA = bytes(range(256)) + b"\xfb\xff\xfe\x00"
TEXT = base64.b64encode(DATA).decode()
URL_SAFE = base64.urlsafe_b64encode(DATA).decode()
assert {"+", "/", "="} <= set(TEXT)

ACCEPTED = {
    "standard": TEXT,
    "unpadded": TEXT.rstrip("="),
    "url-safe": URL_SAFE,
    "url-safe, unpadded": URL_SAFE.rstrip("="),
    "encoded lines": base64.encodebytes(DATA).decode(),
    "windows lines": "\r\n".join(textwrap.wrap(TEXT, 76)),
    "indented lines": "\n".join(f"  {line}" for line in textwrap.wrap(TEXT, 60)),
    "around it": f"\ufeff \n{TEXT}\t\n",
    "percent-encoded": quote(TEXT, safe=""),
    "data url": f"data:image/jpeg;base64,{TEXT}",
    "upper case": f"DATA:IMAGE/JPEG;BASE64,{TEXT}",
    "charset": f"data:image/jpeg;charset=utf-8;base64,{TEXT}",
    "name": f"data:image/png;name=cell.png;base64,{TEXT}",
    "quoted comma": f'data:image/png;name="a;base64,b.png";base64,{TEXT}',
    "no media type": f"data:;base64,{TEXT}",
    "blank after the comma": f"data:image/png;base64, {TEXT}",
    "blanks in the prefix": f"data:image/png; base64 ,{TEXT}",
    "url-safe data url": f"data:image/png;base64,{URL_SAFE.rstrip('=')}",
    "percent-encoded data url": f"data:image/png;base64,{quote(TEXT, safe='')}",
    "data url in lines": f"data:image/png;base64,\n{base64.encodebytes(DATA).decode()}",
}

REFUSED = {
    "lost plus": (TEXT.replace("+", " "), "blanks within a line"),
    "lost plus twice": ("AAAA  AAAA", "blanks within a line"),
    "both alphabets": (TEXT.replace("+", "-"), "both alphabets"),
    "data in between": (f"{TEXT}{TEXT}", ""),
    "three paddings": (f"{TEXT.rstrip('=')}===", "more than 2"),
    "one character too many": ("AAAAA", "1 more than a multiple of 4"),
    "another character": ("AAAA*AAA", ""),
    "umlaut": ("AAAÄ", ""),
    "nothing": ("", "no data"),
    "padding alone": ("==", "no data"),
    "empty data url": ("data:image/png;base64,", "no data"),
    "data url without base64": ("data:image/png,%89PNG", "without ';base64,'"),
    "a list of data urls": (f"data:image/png;base64,{TEXT},data:image/png;base64,{TEXT}", ""),
    "percent without digits": ("AAAA%zz=", ""),
}


@pytest.mark.field("data_url")
@pytest.mark.parametrize("text", ACCEPTED.values(), ids=ACCEPTED.keys())
def test_what_clients_write_is_decoded(text: str) -> None:
    """Both alphabets, with or without padding and line breaks, alone or in a data URL."""
    assert decode_image(text) == DATA


@pytest.mark.field("data_url")
@pytest.mark.parametrize(("text", "reason"), REFUSED.values(), ids=REFUSED.keys())
def test_anything_else_is_refused_with_its_reason(text: str, reason: str) -> None:
    """422, with what was expected."""
    with pytest.raises(HttpError) as error:
        decode_image(text)
    assert error.value.status == 422
    assert error.value.detail.code == "invalid_base64"
    assert reason in error.value.detail.received
    assert "data URL" in error.value.detail.expected


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1/a.png", "HTTPS://host/a", "file:///etc/passwd", "s3://b/k", "blob:x"]
)
def test_a_url_is_named_as_such_and_not_repeated(url: str) -> None:
    """The message says that nothing is fetched; only the scheme is returned."""
    with pytest.raises(HttpError, match="fetches none") as error:
        decode_image(url)
    scheme = url.partition(":")[0].lower()
    assert error.value.detail.received == f"a URL that begins with {scheme}:"
