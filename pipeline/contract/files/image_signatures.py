"""File formats by their first bytes, and suffixes by which a file claims to be an image."""

from dataclasses import dataclass
from pathlib import PurePosixPath

IMAGE_SUFFIXES = frozenset(
    ".jpg .jpeg .jpe .jfif .png .bmp .dib .tif .tiff .gif .webp .heic .heif .avif .jp2 .j2k .jpx "
    ".jxl .jxr .dcm .dicom .pgm .ppm .pbm .pnm .tga .ico .psd .raw .cr2 .cr3 .nef .arw .dng .orf "
    ".rw2 .svs .ndpi .czi .lif .lsm .nd2 .oib .oir .vsi .vms .scn .mrxs .bif .zvi .qptiff".split()
)
"""In small letters. Validation quarantines the formats that it cannot read, by their names."""
SIGNATURE_BYTES = 512
"""First bytes of a file that `format_name` needs."""
_TEXT_CONTROLS = frozenset(b"\t\n\v\f\r\x1b")
_UTF_16 = (b"\xff\xfe", b"\xfe\xff")


@dataclass(frozen=True)
class Signature:
    """A format's name and the bytes that a file of this format has at these offsets."""

    name: str
    parts: tuple[tuple[int, bytes], ...]
    image: bool = True
    """Whether a file with these bytes is an image, whatever its name."""

    def fits(self, head: bytes) -> bool:
        """Whether a file that begins with `head` has all parts."""
        return all(head.startswith(part, offset) for offset, part in self.parts)


def _each(name: str, *starts: bytes, image: bool = True) -> list[Signature]:
    return [Signature(name, ((0, start),), image) for start in starts]


def _boxed(name: str, *brands: bytes, image: bool = True) -> list[Signature]:
    return [Signature(name, ((4, b"ftyp" + brand),), image) for brand in brands]


_BMP_HEADERS = (12, 16, 40, 52, 56, 64, 108, 124)
"""Sizes of its second header. The letters BM alone would also be the beginning of a text."""
SIGNATURES = (
    *_each("JPEG", b"\xff\xd8\xff"),
    *_each("PNG", b"\x89PNG\r\n\x1a\n"),
    *(Signature("BMP", ((0, b"BM"), (14, bytes([size, 0, 0, 0])))) for size in _BMP_HEADERS),
    Signature("BMP", ((0, b"BM"), (6, bytes(4)))),
    *_each("GIF", b"GIF8"),
    Signature("WebP", ((0, b"RIFF"), (8, b"WEBP"))),
    *_each("camera raw", b"II*\0\x10\0\0\0CR", b"IIU\0", b"IIRO", b"IIRS", b"MMOR"),
    *_each("camera raw", b"FUJIFILMCCD-RAW"),
    *_each("TIFF", b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"),
    *_boxed("HEIC", b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"),
    *_boxed("AVIF", b"avif", b"avis"),
    *_boxed("camera raw", b"crx "),
    *_each("JPEG 2000", b"\0\0\0\x0cjP  ", b"\xff\x4f\xff\x51"),
    *_each("JPEG XL", b"\0\0\0\x0cJXL "),
    *_each("JPEG XR", b"II\xbc\x01"),
    Signature("DICOM", ((128, b"DICM"),)),
    *_each("Photoshop (PSD)", b"8BPS"),
    *_each("Zeiss (CZI)", b"ZISRAWFILE"),
    *_each("Nikon (ND2)", b"\xda\xce\xbe\x0a"),
    Signature("Leica (LIF)", ((0, b"\x70\0\0\0"), (8, b"\x2a"))),
    *_each("GIMP (XCF)", b"gimp xcf"),
    *_each("OpenEXR", b"\x76\x2f\x31\x01"),
    *_each("FITS", b"SIMPLE  ="),
    *_each("icon (ICO)", b"\0\0\1\0", image=False),
    *(Signature("Netpbm", ((0, b"P" + n), (2, b"\n")), image=False) for n in (b"4", b"5", b"6")),
    *_each("PDF", b"%PDF", image=False),
    *_each("PostScript", b"%!PS", image=False),
    *_each("ZIP", b"PK\3\4", b"PK\5\6", b"PK\7\x08", image=False),
    *_each("7z", b"7z\xbc\xaf\x27\x1c", image=False),
    *_each("RAR", b"Rar!\x1a\x07", image=False),
    *_each("gzip", b"\x1f\x8b\x08", image=False),
    Signature("tar", ((257, b"ustar"),), image=False),
    *_each("HDF5", b"\x89HDF\r\n\x1a\n", image=False),
    *_each("NumPy", b"\x93NUMPY", image=False),
    *_each("MATLAB", b"MATLAB 5.0", image=False),
    *_each("Microsoft compound (OLE)", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", image=False),
    *_each("AppleDouble", b"\0\5\x16\7", image=False),
    *_each("Git LFS pointer", b"version https://git-lfs", image=False),
    Signature("video", ((4, b"ftyp"),), image=False),
    Signature("video", ((0, b"RIFF"), (8, b"AVI ")), image=False),
)
"""The first that fits is the format of a file."""
_MARKUP = {
    "HTML": (b"<!doctype html", b"<html", b"<head", b"<body"),
    "SVG": (b"<svg",),
    "XML": (b"<?xml",),
}


def format_name(head: bytes) -> str:
    """The format of a file, such as `HEIC`; `text`, or empty if it is not known.

    Args:
        head: at least the first `SIGNATURE_BYTES`, or the whole file.
    """
    for signature in SIGNATURES:
        if signature.fits(head):
            return signature.name
    start = head[:SIGNATURE_BYTES].removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    for name, marks in _MARKUP.items():
        if start.startswith(marks):
            return "SVG" if name == "XML" and b"<svg" in start else name
    return "text" if head and is_text(head[:SIGNATURE_BYTES]) else ""


def has_image_suffix(path: str) -> bool:
    """Whether a file's name is that of an image."""
    return PurePosixPath(path).suffix.lower() in IMAGE_SUFFIXES


def has_image_signature(head: bytes) -> bool:
    """Whether a file's first bytes are those of an image format.

    Args:
        head: at least the first 132 bytes, or the whole file.
    """
    return any(signature.image and signature.fits(head) for signature in SIGNATURES)


def is_text(head: bytes) -> bool:
    """Whether the first bytes are text: no control characters, in any encoding."""
    return head.startswith(_UTF_16) or all(
        byte >= ord(" ") or byte in _TEXT_CONTROLS for byte in head
    )
