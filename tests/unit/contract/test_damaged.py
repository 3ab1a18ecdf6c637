"""Images damaged at random, and what a damaged image once did."""

import zlib

import pytest

from benchmarks.fuzz_decoder import fuzz, packed
from pipeline.contract.decoding import decode
from pipeline.errors import InvalidInputError


@pytest.mark.filterwarnings("ignore::UserWarning")  # Pillow tells of broken EXIF
def test_damaged_images_are_taken_or_refused_in_bounded_time_and_memory() -> None:
    """Five seconds of what `python -m benchmarks.fuzz_decoder` does for ten minutes."""
    found = fuzz(5)
    assert found.images > 100
    assert 0 < found.accepted < found.images


def test_a_profile_behind_the_pixels_that_ends_in_its_name_is_refused() -> None:
    """Pillow raises an IndexError here, which is no caller's fault unless it is told apart."""
    header = packed(b"IHDR", b"\0\0\0\1\0\0\0\1\x08\0\0\0\0")
    pixel = packed(b"IDAT", zlib.compress(b"\0\0"))
    start = b"\x89PNG\r\n\x1a\n" + header + pixel
    assert decode(start + packed(b"IEND", b"")).shape == (1, 1, 3)
    with pytest.raises(InvalidInputError):
        decode(start + packed(b"iCCP", b"name") + packed(b"IEND", b""))
