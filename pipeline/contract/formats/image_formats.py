"""Open an image by the Pillow class of its format: the header is read and checked, no pixels.

| format | archives | service |
|---|---|---|
| JPEG, PNG, BMP | read | read |
| TIFF of one page | read | refused |

Everything else is refused by its format's name.
"""

import io
import re

from PIL import PngImagePlugin
from PIL.BmpImagePlugin import BmpImageFile
from PIL.ImageFile import ImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.TiffImagePlugin import ImageFileDirectory_v2, TiffImageFile

from pipeline.contract.files.image_signatures import SIGNATURE_BYTES, format_name
from pipeline.errors import InvalidInputError

SERVED_FORMATS = ("JPEG", "PNG", "BMP")
"""Formats that the service reads."""
ARCHIVE_FORMATS = (*SERVED_FORMATS, "TIFF")
"""Formats that are read from archives of labelled images."""
_READERS: dict[str, type[ImageFile]] = {
    "JPEG": JpegImageFile,
    "PNG": PngImageFile,
    "BMP": BmpImageFile,
    "TIFF": TiffImageFile,
}
_SUBFILE_TYPE, _BITS, _COMPRESSION, _COLOURS, _DESCRIPTION = 254, 258, 259, 262, 270
_PLANAR, _SUBSAMPLING, _XMP = 284, 530, 700
_TILE_WIDTH, _TILE_LENGTH = 322, 323
_SEPARATE_PLANES = 2
_BYTE = 8
_OTHER_FORMATS = {
    33629: "a MetaMorph stack",
    34412: "a Zeiss LSM file",
    50706: "a camera raw (DNG) file",
    65420: "a Hamamatsu slide (NDPI)",
}
"""Tag that only files of another format have."""
_UNCOMPRESSED, _YCBCR, _CIELAB = 1, 6, (8, 9, 10)
_IMAGEJ_STACK = re.compile(r"ImageJ=.*?^images=(\d{1,9})", re.DOTALL | re.MULTILINE)
"""Description of a stack of ImageJ, which may have one page for all of its images."""
_WITH_AN = frozenset({"AppleDouble", "AVIF", "HDF5", "HTML", "icon (ICO)", "OpenEXR", "SVG", "XML"})
_NO_IMAGES = frozenset({"7z", "gzip", "HTML", "RAR", "XML", "ZIP"})
_MAX_PAGES = 100
"""Pages of a TIFF that are counted."""
_MAX_PROFILES = 16
"""More than one is invalid; some four letters of a PNG's pixels may look like one."""
_MAX_RLE_PIXELS = 4_000_000
"""Largest run-length encoded BMP: Pillow decodes them slowly, in Python."""

PngImagePlugin.MAX_TEXT_CHUNK = 16 * 1024 * 1024
"""Pillow refuses larger colour profiles and compressed texts, by default those above 1 MiB, which
profiles of scanners exceed. Together, texts may have 64 MiB (`MAX_TEXT_MEMORY`)."""


def open_image(data: bytes) -> ImageFile:
    """Read the header of an image whose format was checked, no pixels.

    `Image.open` warns of large images or rejects them before our limit can. Disabling that
    would change the process's warning filters, which all threads share.

    Raises:
        InvalidInputError: for a PNG with many colour profiles, each of which would be decompressed.
    """
    name = format_name(data[:SIGNATURE_BYTES])
    if name == "PNG" and (profiles := data.count(b"iCCP")) > _MAX_PROFILES:
        raise InvalidInputError(
            "the image cannot be read",
            expected="a PNG with one colour profile",
            received=f"{profiles} profiles",
        )
    return _READERS[name](io.BytesIO(data))


def check_header(image: ImageFile, n_bytes: int, max_pixels: int) -> None:
    """InvalidInputError for more than `max_pixels`, a TIFF of several pages, a slide or raw image.

    Args:
        image: opened, its pixels not yet decoded.
        n_bytes: size of its file.
        max_pixels: width times height.
    """
    _check_pixels(image.size, max_pixels)
    if isinstance(image, TiffImageFile):
        _check_tiff(image, max_pixels)
    elif isinstance(image, BmpImageFile) and image.tile and image.tile[0].codec_name == "bmp_rle":
        _check_rle(image, n_bytes)


def expected_formats(formats: tuple[str, ...]) -> str:
    """For example `JPEG, PNG or BMP`."""
    return f"{', '.join(formats[:-1])} or {formats[-1]}"


def _refused(what: str, formats: tuple[str, ...], received: str = "") -> InvalidInputError:
    """The error for an image of another format, with what to do."""
    expected = f"{expected_formats(formats)}: export it as PNG"
    return InvalidInputError(f"the image is {what}", expected=expected, received=received)


def require_format(data: bytes, formats: tuple[str, ...]) -> None:
    """InvalidInputError, with the format's name, unless the first bytes are of one of these."""
    name = format_name(data[:SIGNATURE_BYTES])
    if name in formats:
        return
    expected = expected_formats(formats)
    if not data:
        raise InvalidInputError("the image is an empty file", expected=expected)
    if name in ("", "text"):
        raise InvalidInputError(
            "the image cannot be read",
            expected=f"a complete {expected}",
            received="a text file" if name else "another file format",
        )
    if name == "Git LFS pointer":
        raise InvalidInputError(
            "the image is a Git LFS pointer", expected=f"{expected}: run `git lfs pull` first"
        )
    named = f"{'an' if name in _WITH_AN else 'a'} {name} file"
    if name in _NO_IMAGES:
        raise InvalidInputError(f"the image is {named}", expected=f"{expected}: this is no image")
    raise _refused(named, formats)


def _check_pixels(size: tuple[int, int], max_pixels: int) -> None:
    if size[0] * size[1] > max_pixels:
        raise InvalidInputError(
            "the image is too large",
            expected=f"at most {max_pixels} pixels",
            received=f"{size[0]}x{size[1]}",
        )


def _check_rle(image: ImageFile, n_bytes: int) -> None:
    """InvalidInputError for a run-length encoded BMP that would take seconds to decode."""
    _check_pixels(image.size, _MAX_RLE_PIXELS)
    width, height = image.size
    if n_bytes > 2 * (width + 4) * height + 65_536:
        raise InvalidInputError(
            "the image cannot be read",
            expected="a run-length encoded BMP without empty runs",
            received=f"{n_bytes} bytes",
        )


def _check_tiff(image: TiffImageFile, max_pixels: int) -> None:
    """InvalidInputError for a slide, a camera's raw image, several pages, or huge tiles."""
    tags = image.tag_v2
    description = str(tags.get(_DESCRIPTION, ""))
    stack = _IMAGEJ_STACK.match(description)
    pages = max(_pages(image), int(stack[1]) if stack else 1)
    if description.startswith("Aperio"):
        raise _refused("an Aperio slide (SVS)", ARCHIVE_FORMATS, f"{pages} pages")
    if b"<iScan" in bytes(tags.get(_XMP, b"")) or description.startswith("<iScan"):
        raise _refused("a Roche slide (BIF)", ARCHIVE_FORMATS, f"{pages} pages")
    for tag in _OTHER_FORMATS.keys() & tags.keys():
        raise _refused(_OTHER_FORMATS[tag], ARCHIVE_FORMATS, f"{pages} pages")
    if pages > 1:
        count = f"more than {_MAX_PAGES}" if pages > _MAX_PAGES else pages
        raise InvalidInputError(
            f"the image is a TIFF file with {count} pages",
            expected="one page: export the page with the cell",
        )
    if tags.get(_SUBFILE_TYPE, 0) & 1:
        raise _refused("the preview of a camera raw file or slide", ARCHIVE_FORMATS)
    if tags.get(_PLANAR) == _SEPARATE_PLANES and max(tags.get(_BITS, ())[1:], default=1) > _BYTE:
        # Pillow would read them as planes of 8 bits.
        raise _refused("a TIFF file with a plane of 16 bits for each channel", ARCHIVE_FORMATS)
    _check_colours(tags)
    # libtiff allocates a whole tile, whatever the size of the image.
    _check_pixels((tags.get(_TILE_WIDTH, 0), tags.get(_TILE_LENGTH, 0)), max_pixels)


def _check_colours(tags: ImageFileDirectory_v2) -> None:
    """InvalidInputError for colours that Pillow reads wrongly without an error."""
    if tags.get(_COLOURS) in _CIELAB:
        raise _refused("a TIFF file with CIELAB colours", ARCHIVE_FORMATS)
    subsampled = tuple(tags.get(_SUBSAMPLING, (2, 2))) != (1, 1)
    is_raw = tags.get(_COMPRESSION, _UNCOMPRESSED) == _UNCOMPRESSED
    if tags.get(_COLOURS) == _YCBCR and subsampled and is_raw:
        raise _refused("a TIFF file with subsampled YCbCr colours", ARCHIVE_FORMATS)


def _pages(image: TiffImageFile) -> int:
    """Number of pages, at most one more than `_MAX_PAGES`; the first stays open."""
    pages = 1
    try:
        while pages <= _MAX_PAGES:
            image.seek(pages)
            pages += 1
    except EOFError:
        pass
    image.seek(0)
    return pages
