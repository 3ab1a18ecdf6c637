"""Decoding of damaged images: random damage, and regressions."""

import zlib

import pytest

from benchmarks.fuzz_decoder import fuzz, packed
from pipeline.contract.decoding import decode
from pipeline.errors import InvalidInputError


@pytest.mark.filterwarnings("ignore::UserWarning")  # Pillow warns of broken EXIF
def test_damaged_images_are_decoded_or_rejected_in_bounded_time_and_memory() -> None:
    """Five seconds of the fuzzing that `python -m benchmarks.fuzz_decoder` runs for ten minutes."""
    found = fuzz(5)
    assert found.images > 100
    assert 0 < found.accepted < found.images


def test_a_truncated_profile_after_the_pixels_is_rejected() -> None:
    """Pillow's IndexError becomes InvalidInputError."""
    header = packed(b"IHDR", b"\0\0\0\1\0\0\0\1\x08\0\0\0\0")
    pixel = packed(b"IDAT", zlib.compress(b"\0\0"))
    start = b"\x89PNG\r\n\x1a\n" + header + pixel
    assert decode(start + packed(b"IEND", b"")).shape == (1, 1, 3)
    with pytest.raises(InvalidInputError):
        decode(start + packed(b"iCCP", b"name") + packed(b"IEND", b""))
