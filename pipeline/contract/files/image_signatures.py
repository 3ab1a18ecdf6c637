"""Suffixes and first bytes by which a file claims to be an image, whether or not it can be read."""

from pathlib import PurePosixPath

IMAGE_SUFFIXES = frozenset(
    ".jpg .jpeg .jpe .jfif .png .bmp .dib .tif .tiff .gif .webp .heic .heif .avif .jp2 .j2k .jpx "
    ".jxl .jxr .dcm .dicom .pgm .ppm .pbm .pnm .tga .ico .psd .raw .cr2 .cr3 .nef .arw .dng .orf "
    ".rw2 .svs .ndpi .czi .lif .lsm .nd2 .oib .oir .vsi .vms .scn .mrxs .bif .zvi .qptiff".split()
)
"""In small letters. Validation quarantines the formats that it cannot read, by their names."""
_SIGNATURES = (
    b"\xff\xd8\xff",  # JPEG
    b"\x89PNG\r\n\x1a\n",
    b"GIF8",
    b"II*\0",  # TIFF and most raw formats of cameras
    b"MM\0*",
    b"II+\0",  # BigTIFF
    b"MM\0+",
    b"\0\0\0\x0cjP  ",  # JPEG 2000
    b"\xff\x4f\xff\x51",
    b"8BPS",  # Photoshop
)
_DICOM_AT = 128


def has_image_suffix(path: str) -> bool:
    """Whether a file's name is that of an image."""
    return PurePosixPath(path).suffix.lower() in IMAGE_SUFFIXES


def has_image_signature(head: bytes) -> bool:
    """Whether a file's first bytes are those of an image format.

    Args:
        head: at least the first 132 bytes, or the whole file.
    """
    return (
        head.startswith(_SIGNATURES)
        # Two letters alone would also be the beginning of a text.
        or (head.startswith(b"BM") and head[6:10] == bytes(4))
        or (head.startswith(b"RIFF") and head[8:12] == b"WEBP")
        or (head[4:8] == b"ftyp" and head[8:12] in (b"heic", b"heix", b"mif1", b"msf1", b"avif"))
        or head[_DICOM_AT : _DICOM_AT + 4] == b"DICM"
    )
