"""Invalid and unusual requests with their expected status."""

import io
import json
import pickle
import struct
import zlib
from typing import Any

from PIL import Image, PngImagePlugin

from benchmarks.fuzz_decoder import packed

PNG = b"\x89PNG\r\n\x1a\n"
JSON = {"content-type": "application/json"}
FORM = {"content-type": "multipart/form-data; boundary=x"}
Request = dict[str, Any]


def saved(image: Image.Image, kind: str, **options: Any) -> bytes:
    """An image as Pillow writes it."""
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def png(width: int, height: int, *extra: bytes, rows: bytes = b"") -> bytes:
    """A grey PNG with extra chunks before its pixels; missing rows are missing in the file."""
    header = packed(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    pixels = packed(b"IDAT", zlib.compress(rows, 9))
    return PNG + header + b"".join(extra) + pixels + packed(b"IEND", b"")


def good_but_odd(image: bytes) -> dict[str, bytes]:
    """Unusual images that are accepted."""
    rgb = Image.open(io.BytesIO(image)).convert("RGB")
    small = rgb.resize((80, 60))
    exif = Image.Exif()
    exif[0x0112] = 6
    square = b"".join(b"\0" + bytes(64) for _ in range(64))
    return {
        "cmyk jpeg": saved(rgb.convert("CMYK"), "JPEG"),
        "grey jpeg": saved(rgb.convert("L"), "JPEG"),
        "progressive jpeg": saved(rgb, "JPEG", progressive=True),
        "turned jpeg": saved(rgb, "JPEG", exif=exif),
        "jpeg with broken exif": saved(rgb, "JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\xff"),
        "jpeg with a huge comment": saved(rgb, "JPEG", comment=b"x" * 65_000),
        "jpeg and more": image + b"PK\x03\x04" * 1000,
        "several frames in a jpeg": saved(rgb, "MPO", save_all=True, append_images=[small]),
        "16 bit png": saved(rgb.convert("I;16"), "PNG"),
        "one bit png": saved(rgb.convert("1"), "PNG"),
        "palette png": saved(rgb.quantize(16), "PNG"),
        "see-through palette": saved(rgb.quantize(16), "PNG", transparency=0),
        "alpha png": saved(rgb.convert("RGBA"), "PNG"),
        "grey alpha png": saved(rgb.convert("LA"), "PNG"),
        "animated png": saved(small, "PNG", save_all=True, append_images=[small.rotate(90)]),
        "one pixel": saved(Image.new("RGB", (1, 1)), "PNG"),
        "very high": saved(Image.new("RGB", (1, 20_000)), "PNG"),
        "very wide": saved(Image.new("RGB", (20_000, 1)), "PNG"),
        "as large as allowed": saved(Image.new("1", (6_000, 4_000)), "PNG"),
        "more pixels than announced": png(64, 64, rows=square + bytes(50_000_000)),
        "bmp": saved(Image.new("RGB", (64, 64)), "BMP"),
        "a large profile": saved(
            Image.new("RGB", (64, 64)), "PNG", icc_profile=bytes(range(256)) * 8_000
        ),
        "a large text": png(64, 64, packed(b"tEXt", b"a\0" + b"x" * 3_000_000), rows=square),
    }


def bad_files(image: bytes) -> dict[str, bytes]:
    """Files that are not a complete JPEG, PNG or BMP of an accepted size."""
    rgb = Image.open(io.BytesIO(image)).convert("RGB").resize((80, 60))
    whole = saved(rgb, "PNG")
    bomb = zlib.compress(bytes(100_000_000), 9)
    texts = PngImagePlugin.PngInfo()
    for _ in range(100):
        texts.add_text("a", "x" * 1_000_000, zip=True)
    sof = image.index(b"\xff\xc0") + 5
    return {
        "empty file": b"",
        "one byte": b"\xff",
        "text": b"hello",
        "zeros": bytes(10_000),
        "wrong magic": b"\0\0\0\0" + image[4:],
        "truncated": image[: len(image) // 2],
        "truncated png": whole[: len(whole) // 2],
        "jpeg head alone": image[:30],
        "jpeg magic alone": b"\xff\xd8\xff",
        "png magic alone": PNG,
        "png magic on a jpeg": PNG + image,
        "png with a wrong sum": whole[:20] + b"\x01" + whole[21:],
        "png without pixels": PNG + whole[8:33] + packed(b"IEND", b""),
        "png of no size": png(0, 0),
        "gif": saved(rgb, "GIF"),
        "animated gif": saved(rgb, "GIF", save_all=True, append_images=[rgb.rotate(90)]),
        "tiff": saved(rgb, "TIFF"),
        "webp": saved(rgb, "WEBP"),
        "ppm": saved(rgb, "PPM"),
        "icon": saved(rgb, "ICO"),
        "pdf": saved(rgb, "PDF"),
        "eps": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 1 1\n",
        "svg": b'<svg xmlns="http://www.w3.org/2000/svg"><image href="http://127.0.0.1:1/"/></svg>',
        "html": b'<img src="http://127.0.0.1:1/">',
        "pickle": pickle.dumps({"image": [1, 2, 3]}),
        "json": json.dumps({"image": "http://127.0.0.1:1/a.png"}).encode(),
        "zip": b"PK\x03\x04" + bytes(100),
        "too many pixels": saved(Image.new("1", (30_000, 1_000)), "PNG"),
        "announces 10 gigapixels": png(100_000, 100_000),
        "announces the most": png(2**31 - 1, 2**31 - 1),
        "jpeg of 4 gigapixels": image[:sof] + b"\xff\xdc\xff\xdc" + image[sof + 4 :],
        "text bomb": png(64, 64, packed(b"zTXt", b"a\0\0" + bomb)),
        "international text bomb": png(64, 64, packed(b"iTXt", b"a\0\1\0\0\0" + bomb)),
        "profile bomb": png(64, 64, packed(b"iCCP", b"a\0\0" + bomb)),
        "profile without an end": whole[:-12] + packed(b"iCCP", b"name") + packed(b"IEND", b""),
        "a hundred texts": saved(rgb, "PNG", pnginfo=texts),
    }


def bad_requests(image: bytes) -> dict[str, tuple[int, Request]]:
    """Requests with an invalid body or route."""

    def post(content: bytes, headers: dict[str, str], path: str = "/classify") -> Request:
        return {"path": path, "content": content, "headers": headers}

    def predict(content: bytes) -> Request:
        return post(content, JSON, "/predict")

    return {
        "url as a value": (400, {"files": {"image": (None, "http://127.0.0.1:1/a.png")}}),
        "wrong field name": (400, {"files": {"other": ("x", image)}}),
        "two images": (400, {"files": [("image", ("a", image)), ("image", ("b", image))]}),
        "image and a value": (400, {"files": {"image": ("x", image), "a": (None, "b")}}),
        "a thousand files": (400, {"files": [("image", ("a", b"1"))] * 1_000}),
        "no boundary": (400, post(image, {"content-type": "multipart/form-data"})),
        "broken form": (400, post(b"--y\r\n", FORM)),
        "unended form": (400, post(b"--x\r\nContent-Disposition: form-data; na", FORM)),
        "no part name": (400, post(b"--x\r\nA: b\r\n\r\nc\r\n--x--\r\n", FORM)),
        "empty body": (400, post(b"", FORM)),
        "raw image": (415, post(image, {"content-type": "image/jpeg"})),
        "json url": (415, post(b'{"image": "http://127.0.0.1:1/"}', JSON)),
        "plain url": (415, post(b"http://127.0.0.1:1/", {"content-type": "text/plain"})),
        "form url": (
            415,
            post(b"image=http://x", {"content-type": "application/x-www-form-urlencoded"}),
        ),
        "pickled body": (
            415,
            post(b"\x80\x05.", {"content-type": "application/vnd.bentoml+pickle"}),
        ),
        "no content type": (415, post(image, {})),
        "path with a line feed": (404, post(b"http://127.0.0.1:1/", {}, "/classify%0a")),
        "not json": (400, predict(b"{")),
        "json of another shape": (422, predict(b"[]")),
        "no key": (422, predict(b"{}")),
        "image is a number": (422, predict(b'{"image": 7}')),
        "not base64": (422, predict(b'{"image": "http://127.0.0.1:1/a.png"}')),
        "base64 of text": (422, predict(b'{"image": "aGVsbG8="}')),
        "lone surrogate": (422, predict(b'{"image": "\\ud800"}')),
        "deep json": (400, predict(b"[" * 100_000)),
        "unknown route": (404, {"path": "/nothing", "content": b""}),
        "other method": (405, {"method": "GET", "path": "/classify"}),
        "put": (405, {"method": "PUT", "path": "/predict", "content": b"{}"}),
        "page climbing": (404, {"method": "GET", "path": "/static/..%2f..%2fservice.py"}),
    }


def upload(data: bytes, kind: str = "image/jpeg") -> Request:
    """A request with a file in the right field."""
    return {"files": {"image": ("x", data, kind)}}


def everything(image: bytes) -> dict[str, tuple[int, Request]]:
    """Name to expected status and request."""
    return {
        **{name: (200, upload(data)) for name, data in good_but_odd(image).items()},
        **{name: (422, upload(data)) for name, data in bad_files(image).items()},
        **bad_requests(image),
    }
