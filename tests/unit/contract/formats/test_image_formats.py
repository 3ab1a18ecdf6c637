"""Formats: every kind of JPEG, PNG, BMP and TIFF is read, every other one is refused by name."""

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, TiffImagePlugin
from PIL.PngImagePlugin import PngInfo

from benchmarks.fuzz_decoder import packed
from pipeline.contract.decoding import decode, served_copy
from pipeline.contract.formats.image_formats import ARCHIVE_FORMATS, SERVED_FORMATS
from pipeline.errors import InvalidInputError

ROOT = Path(__file__).resolve().parents[4]
NOISE = np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)


def encoded(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def png_of(rows: NDArray[np.uint16], colour: int, depth: int = 16) -> bytes:
    """A PNG of big-endian samples (height, width, channels) of a colour type."""
    height, width = rows.shape[:2]
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    samples = rows.astype(">u2").reshape(height, -1)
    raw = b"".join(b"\0" + row.tobytes() for row in samples)
    chunks = (b"IHDR", header), (b"IDAT", zlib.compress(raw)), (b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(packed(kind, body) for kind, body in chunks)


def tiff_of(samples: NDArray[np.uint16], order: str = "<", **tags: int) -> bytes:
    """An uncompressed TIFF of 16-bit samples (height, width, channels)."""
    height, width = samples.shape[:2]
    channels = 1 if samples.ndim == 2 else samples.shape[2]
    raw = samples.astype(f"{order}u2").tobytes()
    entries = {256: (4, 1, width), 257: (4, 1, height), 259: (3, 1, 1), 273: (4, 1, 8)}
    entries |= {277: (3, 1, channels), 278: (4, 1, height), 279: (4, 1, len(raw))}
    entries[262] = (3, 1, tags.get("photometric", 1 if channels == 1 else 2))
    entries[258] = (3, 1, 16) if channels == 1 else (3, channels, 8 + len(raw))
    entries[284] = (3, 1, tags.get("planar", 1))
    bits = struct.pack(f"{order}{channels}H", *[16] * channels)
    first = 8 + len(raw) + len(bits)
    table = struct.pack(f"{order}H", len(entries))
    for tag, (kind, count, value) in sorted(entries.items()):
        form = "H2x" if (kind, count) == (3, 1) else "I"
        table += struct.pack(f"{order}HHI{form}", tag, kind, count, value)
    start = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}I", first)
    return start + raw + bits + table + bytes(4)


@pytest.mark.field("bitmaps")
@pytest.mark.field("tiffs")
def test_an_image_has_the_same_pixels_in_every_lossless_format() -> None:
    """PNG, BMP and TIFF, compressed or not."""
    image = Image.fromarray(NOISE)
    files = [encoded(image), encoded(image, "BMP"), encoded(image, "TIFF")]
    for compression in ("tiff_lzw", "tiff_adobe_deflate", "packbits"):
        files.append(encoded(image, "TIFF", compression=compression))
    files.append(encoded(image, "TIFF", big_tiff=True))
    for data in files:
        np.testing.assert_array_equal(decode(data), NOISE)


@pytest.mark.field("bitmaps")
@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBA"])
def test_a_bitmap_of_every_mode_is_read(mode: str) -> None:
    """By the service too; the pixels are those of the same image as a PNG."""
    image = Image.fromarray(NOISE).convert(mode)
    read = decode(encoded(image, "BMP"), formats=SERVED_FORMATS)
    np.testing.assert_array_equal(read, decode(encoded(image)))


GREYS = b"".join(bytes((i * 17,) * 3 + (0,)) for i in range(16))
INFO = "<IiiHHIIiiII"
BITMAPS = {
    "4 bits": (
        struct.pack(INFO, 40, 2, 2, 1, 4, 0, 8, 0, 0, 16, 0),
        GREYS,
        b"\x0f\0\0\0\xf0\0\0\0",
    ),
    "top down": (
        struct.pack(INFO, 40, 2, -2, 1, 4, 0, 8, 0, 0, 16, 0),
        GREYS,
        b"\xf0\0\0\0\x0f\0\0\0",
    ),
    "run-length encoded, 4 bits": (
        struct.pack(INFO, 40, 2, 2, 1, 4, 2, 10, 0, 0, 16, 0),
        GREYS,
        b"\x02\x0f\0\0\x02\xf0\0\0\0\1",
    ),
    "run-length encoded": (
        struct.pack(INFO, 40, 2, 2, 1, 8, 1, 14, 0, 0, 16, 0),
        GREYS,
        b"\1\0\1\x0f\0\0\1\x0f\1\0\0\0\0\1",
    ),
    "OS/2": (
        struct.pack("<IHHHH", 12, 2, 2, 1, 4),
        b"".join(bytes((i * 17,) * 3) for i in range(16)),
        b"\x0f\0\0\0\xf0\0\0\0",
    ),
    "16 bits": (
        struct.pack(INFO, 40, 2, 2, 1, 16, 0, 8, 0, 0, 0, 0),
        b"",
        b"\0\0\xff\x7f\xff\x7f\0\0",
    ),
    "32 bits without alpha": (
        struct.pack(INFO, 40, 2, 2, 1, 32, 0, 16, 0, 0, 0, 0),
        b"",
        b"\0\0\0\0\xff\xff\xff\0\xff\xff\xff\0\0\0\0\0",
    ),
    "32 bits with an empty alpha": (
        struct.pack("<IiiHHIIiiII", 108, 2, 2, 1, 32, 3, 16, 0, 0, 0, 0)
        + struct.pack("<IIII", 0xFF0000, 0xFF00, 0xFF, 0xFF000000)
        + bytes(52),
        b"",
        b"\0\0\0\0\xff\xff\xff\0\xff\xff\xff\0\0\0\0\0",
    ),
}


@pytest.mark.field("bitmaps")
@pytest.mark.parametrize("kind", list(BITMAPS))
def test_a_bitmap_of_every_program_is_read(kind: str) -> None:
    """White and black, then black and white."""
    header, palette, pixels = BITMAPS[kind]
    offset = 14 + len(header) + len(palette)
    size = offset + len(pixels)
    data = b"BM" + struct.pack("<IHHI", size, 0, 0, offset) + header + palette + pixels
    assert decode(data)[..., 0].tolist() == [[255, 0], [0, 255]]


@pytest.mark.parametrize("rows", [(4_000, 4_000), (1, 3_999_999)])
def test_a_run_length_encoded_bitmap_is_bounded(rows: tuple[int, int]) -> None:
    """Its pixels, and runs of nothing: Pillow decodes them in Python."""
    header = struct.pack(INFO, 40, rows[1], rows[0], 1, 8, 1, 0, 0, 0, 16, 0)
    data = b"BM" + struct.pack("<IHHI", 0, 0, 0, 118) + header + GREYS + bytes(20_000_000)
    with pytest.raises(InvalidInputError, match=r"too large|without empty runs"):
        decode(data)


@pytest.mark.field("tiffs")
@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBA", "CMYK", "LA", "I;16"])
def test_a_tiff_of_every_mode_is_read(mode: str) -> None:
    """From archives; the pixels are those of the same image in Pillow."""
    image = Image.fromarray(NOISE)
    image = image.convert("L").convert(mode) if mode == "I;16" else image.convert(mode)
    assert decode(encoded(image, "TIFF")).shape == (40, 60, 3)
    if mode in ("1", "L", "P", "RGB", "RGBA", "LA"):
        np.testing.assert_array_equal(decode(encoded(image, "TIFF")), decode(encoded(image)))


def test_a_tiff_with_white_as_zero_is_read() -> None:
    """Of 8 and of 16 bits."""
    grey = NOISE[..., 0].astype(np.uint16)
    grey[0, :2] = 0, 255
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    tags[262] = 0
    eight = encoded(Image.fromarray(grey.astype(np.uint8)), "TIFF", tiffinfo=tags)
    assert decode(tiff_of(grey * 257, photometric=0))[..., 0].tolist() == (255 - grey).tolist()
    assert decode(eight).shape == (40, 60, 3)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_rotated_tiff_is_decoded_upright(orientation: int) -> None:
    """As a PNG with the same orientation, and once only; also of 16 bits."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    image = Image.fromarray(NOISE)
    expected = decode(encoded(image, exif=exif))
    np.testing.assert_array_equal(decode(encoded(image, "TIFF", exif=exif)), expected)
    packed = encoded(image, "TIFF", exif=exif, compression="tiff_lzw")
    np.testing.assert_array_equal(decode(packed), expected)


def test_a_tiff_of_several_pages_is_refused_with_their_number() -> None:
    """The message says what to export."""
    image = Image.fromarray(NOISE)
    data = encoded(image, "TIFF", save_all=True, append_images=[image] * 6)
    with pytest.raises(InvalidInputError, match=r"TIFF file with 7 pages; expected one page"):
        decode(data)
    slide = TiffImagePlugin.ImageFileDirectory_v2()
    slide[270] = "Aperio Image Library v11"
    with pytest.raises(InvalidInputError, match=r"an Aperio slide \(SVS\)"):
        decode(encoded(image, "TIFF", tiffinfo=slide))


@pytest.mark.parametrize(
    ("mode", "tags", "problem"),
    [
        ("LAB", {}, "CIELAB colours"),
        ("YCbCr", {530: (2, 2)}, "subsampled YCbCr colours"),
        ("L", {34412: b"LSM"}, "a Zeiss LSM file"),
        ("L", {33629: 1}, "a MetaMorph stack"),
        ("L", {700: b"<iScan Magnification='40'/>"}, r"a Roche slide \(BIF\)"),
        ("L", {270: "ImageJ=1.53\nimages=12\nslices=12"}, "TIFF file with 12 pages"),
    ],
)
def test_a_tiff_that_would_be_read_wrongly_is_refused(
    mode: str, tags: dict[int, object], problem: str
) -> None:
    """Colours that Pillow converts wrongly, and files of which it reads the first image only."""
    with pytest.raises(InvalidInputError, match=problem):
        decode(encoded(Image.new(mode, (40, 40)), "TIFF", tiffinfo=tags))


def test_colours_of_a_tiff_without_compression_tag_are_checked() -> None:
    """Such a TIFF is not compressed, and its subsampled colours would be read wrongly."""
    data = encoded(Image.fromarray(NOISE).convert("YCbCr"), "TIFF", tiffinfo={530: (2, 2)})
    entry, unknown = struct.pack("<HHI", 259, 3, 1), struct.pack("<HHI", 260, 3, 1)
    assert data.count(entry) == 1
    with pytest.raises(InvalidInputError, match="subsampled YCbCr colours"):
        decode(data.replace(entry, unknown))


@pytest.mark.field("tiffs")
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "BMP", "TIFF"])
def test_a_copy_for_the_service_has_the_same_pixels(kind: str) -> None:
    """A format that the service reads is not changed."""
    data = encoded(Image.fromarray(NOISE), kind)
    copy = served_copy(data)
    assert (copy is data) == (kind != "TIFF")
    np.testing.assert_array_equal(decode(copy, formats=SERVED_FORMATS), decode(data))


def test_a_tiff_with_wide_planes_is_refused() -> None:
    """Pillow would mix the bytes of its pixels up."""
    with pytest.raises(InvalidInputError, match="a plane of 16 bits for each channel"):
        decode(tiff_of(NOISE.astype(np.uint16), planar=2))


def test_the_preview_of_a_raw_file_is_refused() -> None:
    """Raw formats are TIFFs whose first page is a thumbnail."""
    preview = TiffImagePlugin.ImageFileDirectory_v2()
    preview[254] = 1
    with pytest.raises(InvalidInputError, match="the preview of a camera raw"):
        decode(encoded(Image.fromarray(NOISE), "TIFF", tiffinfo=preview))


@pytest.mark.parametrize("kind", ["TIFF", "PNG", "BMP"])
def test_the_size_is_checked_before_pixels_of_any_format_are_decoded(kind: str) -> None:
    """The same limit for all."""
    with pytest.raises(InvalidInputError, match="too large"):
        decode(encoded(Image.new("1", (6_000, 4_001)), kind))


def wide_files(samples: NDArray[np.uint16]) -> list[bytes]:
    """16-bit samples as PNG and as TIFF of both byte orders, and compressed."""
    files = [png_of(samples, 2 if samples.ndim == 3 else 0)]
    files += [tiff_of(samples, order) for order in "<>"]
    if samples.ndim == 2:
        files.append(encoded(Image.fromarray(samples), "TIFF", compression="tiff_lzw"))
    return files


@pytest.mark.parametrize("colour", [True, False])
@pytest.mark.parametrize("bits", [10, 12, 14, 16])
def test_an_image_of_more_bits_is_scaled_by_its_own_maximum(bits: int, colour: bool) -> None:
    """Colour like grey, in PNG and TIFF: no information of 12 bits in 16 is lost."""
    eight = NOISE.copy() if colour else NOISE[..., 0].copy()
    eight[0, 0] = 255
    wide = np.round(eight / 255.0 * (2**bits - 1)).astype(np.uint16)
    for data in wide_files(wide):
        read = decode(data)
        np.testing.assert_array_equal(read if colour else read[..., 0], eight)


@pytest.mark.parametrize("value", [0, 1, 4095, 65535])
@pytest.mark.parametrize("shape", [(8, 8), (8, 8, 3)])
def test_a_constant_image_of_more_bits_is_read(value: int, shape: tuple[int, ...]) -> None:
    """Black, or white: its own maximum."""
    for data in wide_files(np.full(shape, value, np.uint16)):
        assert (decode(data) == (255 if value else 0)).all()


@pytest.mark.parametrize(("colour", "channels"), [(4, 2), (6, 4)])
def test_alpha_of_sixteen_bits_is_not_scaled(colour: int, channels: int) -> None:
    """Grey or colour of 12 bits is stretched; transparent pixels are white."""
    wide = np.full((4, 4, channels), 4095, np.uint16)
    wide[0, 0], wide[..., -1] = 0, 65535
    wide[1, 1] = 0
    wide[0, 0, -1] = 65535
    read = decode(png_of(wide, colour))
    assert read[0, 0].tolist() == [0, 0, 0]
    assert read[1, 1].tolist() == read[2, 2].tolist() == [255, 255, 255]


def test_values_below_zero_and_no_numbers_are_read() -> None:
    """A TIFF of floating point values."""
    values = np.linspace(-5, 50, 64 * 64, dtype=np.float32).reshape(64, 64)
    values[0, :2] = np.nan, np.inf
    read = decode(encoded(Image.fromarray(values), "TIFF"))
    assert read[-1, -1, 0] == 255
    assert read[0, 2, 0] == 0


def random_bytes(count: int) -> bytes:
    return np.random.default_rng(0).bytes(count)


@pytest.mark.field("large_profile")
@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
@pytest.mark.parametrize("profile", [random_bytes(2_000_000), bytes(5_000_000)])
def test_a_large_profile_does_not_matter(kind: str, profile: bytes) -> None:
    """Nor does its compression: only decoded pixels and an absolute limit count."""
    image = Image.fromarray(NOISE)
    data = encoded(image, kind, icc_profile=profile)
    read = decode(data, formats=SERVED_FORMATS)
    np.testing.assert_array_equal(read, decode(encoded(image, kind)))


@pytest.mark.field("large_profile")
def test_a_large_text_does_not_matter() -> None:
    """Compressed or not."""
    for compressed in (False, True):
        texts = PngInfo()
        texts.add_text("a", "x" * 3_000_000, zip=compressed)
        texts.add_itxt("b", "y" * 3_000_000, zip=compressed)
        np.testing.assert_array_equal(decode(encoded(Image.fromarray(NOISE), pnginfo=texts)), NOISE)


def test_many_profiles_are_not_decompressed() -> None:
    """20 MB of them would take more than ten seconds."""
    whole = encoded(Image.fromarray(NOISE))
    profile = packed(b"iCCP", b"a\0\0" + zlib.compress(bytes(1_000_000), 9))
    with pytest.raises(InvalidInputError, match="one colour profile; received 17 profiles"):
        decode(whole[:33] + profile * 17 + whole[33:])


def boxed(brand: bytes) -> bytes:
    return b"\0\0\0\x18ftyp" + brand + bytes(8) + b"mif1heic" + bytes(500)


OTHERS = {
    "a GIF file": encoded(Image.fromarray(NOISE), "GIF"),
    "a WebP file": encoded(Image.fromarray(NOISE), "WEBP"),
    "a JPEG 2000 file": encoded(Image.fromarray(NOISE), "JPEG2000"),
    "a HEIC file": boxed(b"heic"),
    "an AVIF file": boxed(b"avif"),
    "a DICOM file": bytes(128) + b"DICM" + bytes(400),
    "a Zeiss (CZI) file": b"ZISRAWFILE" + bytes(500),
    "a Photoshop (PSD) file": b"8BPS\0\1" + bytes(500),
    "a PDF file": b"%PDF-1.7\n" + bytes(500),
    "an HTML file": b"\n<!DOCTYPE html><html><body>404",
    "an SVG file": b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg"/>',
    "a ZIP file": b"PK\3\4" + bytes(500),
    "a Git LFS pointer": b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n",
    "an empty file": b"",
    "a camera raw file": b"II*\0\x10\0\0\0CR\2\0" + bytes(500),
}


@pytest.mark.parametrize("formats", [SERVED_FORMATS, ARCHIVE_FORMATS])
@pytest.mark.parametrize("name", list(OTHERS))
def test_another_format_is_refused_by_its_name(name: str, formats: tuple[str, ...]) -> None:
    """With the formats that are read."""
    with pytest.raises(InvalidInputError, match=r"expected JPEG, PNG") as error:
        decode(OTHERS[name], formats=formats)
    assert error.value.message == f"the image is {name}"


def test_the_service_refuses_a_tiff_by_its_name() -> None:
    """And says what to do."""
    data = encoded(Image.fromarray(NOISE), "TIFF")
    with pytest.raises(InvalidInputError) as error:
        decode(data, formats=SERVED_FORMATS)
    expected = "the image is a TIFF file; expected JPEG, PNG or BMP: export it as PNG"
    assert str(error.value) == expected


def test_text_is_named() -> None:
    """As what was received."""
    with pytest.raises(InvalidInputError, match=r"cannot be read.*received a text file"):
        decode(b"no image")


@pytest.mark.parametrize(("page", "formats"), [("archives.md", ARCHIVE_FORMATS)])
def test_the_documents_list_the_formats(page: str, formats: tuple[str, ...]) -> None:
    """One row each: whether archives and the service read it."""
    text = (ROOT / "docs" / page).read_text()
    section = text.partition("## Formats of images")[2].partition("\n## ")[0]
    rows = [line.strip("| ").split(" | ") for line in section.splitlines() if line[:3] == "| *"]
    read = {row[0].strip("*"): row[1:3] for row in rows}
    assert read == {name: ["yes", "yes" if name in SERVED_FORMATS else "no"] for name in formats}
