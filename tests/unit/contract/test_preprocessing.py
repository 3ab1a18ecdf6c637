"""Decoding, locating and cropping: from image bytes to the network's pixels."""

import io
import struct
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from zlib import crc32

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import ExifTags, Image
from scipy import ndimage

from pipeline.contract.cell_box import CellBox
from pipeline.contract.decoding import Pixels, decode
from pipeline.contract.formats.image_formats import SERVED_FORMATS
from pipeline.contract.model_contract import ModelContract
from pipeline.contract.preprocessing import crop, crop_box, prepare
from pipeline.errors import InvalidInputError

CONTRACT = ModelContract(name="cells", classes=("ROUND", "LOBED"))
NOISE = np.random.default_rng(0).integers(0, 255, (40, 60, 3), dtype=np.uint8)


def encoded(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def with_orientation(orientation: int) -> bytes:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    exif[ExifTags.Base.ImageDescription] = "a description"
    return encoded(Image.fromarray(NOISE), exif=exif)


@pytest.mark.parametrize(
    ("orientation", "upright"),
    [
        (1, NOISE),
        (2, NOISE[:, ::-1]),
        (3, NOISE[::-1, ::-1]),
        (4, NOISE[::-1]),
        (5, NOISE.transpose(1, 0, 2)),
        (6, np.rot90(NOISE, -1)),
        (7, np.rot90(NOISE, 2).transpose(1, 0, 2)),
        (8, np.rot90(NOISE)),
    ],
)
def test_a_rotated_photograph_is_decoded_upright(orientation: int, upright: Pixels) -> None:
    """Each of the eight EXIF orientations is undone."""
    np.testing.assert_array_equal(decode(with_orientation(orientation)), upright)


@pytest.mark.parametrize("mode", ["1", "L", "P", "CMYK", "RGB"])
def test_every_opaque_mode_becomes_rgb(mode: str) -> None:
    """Every opaque mode of Pillow gives three channels."""
    kind = "JPEG" if mode == "CMYK" else "PNG"
    assert decode(encoded(Image.fromarray(NOISE).convert(mode), kind)).shape == (40, 60, 3)


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_transparent_pixels_become_white(mode: str) -> None:
    """Transparent pixels of every mode with alpha are white."""
    assert (decode(encoded(Image.new(mode, (8, 8)))) == 255).all()


def test_sixteen_bit_grey_is_scaled() -> None:
    """A 16-bit grey image is scaled to 0..255 instead of clipped."""
    wide = np.linspace(0, 65535, 64 * 4).astype(np.uint16).reshape(4, 64)
    grey = decode(encoded(Image.fromarray(wide)))[..., 0]
    assert grey.min() == 0
    assert grey.max() == 255
    assert len(np.unique(grey)) > 200


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"GIF89a",
        encoded(Image.fromarray(NOISE), "GIF"),
        encoded(Image.fromarray(NOISE), "TIFF"),
        encoded(Image.fromarray(NOISE), "JPEG")[:-200],
        encoded(Image.fromarray(NOISE))[:-200],
    ],
    ids=["nothing", "stub", "gif", "tiff", "cut jpeg", "cut png"],
)
def test_anything_but_a_complete_image_of_a_served_format_is_rejected(data: bytes) -> None:
    """The error names the expected formats; Pillow's other decoders are never used."""
    with pytest.raises(InvalidInputError, match="JPEG, PNG or BMP") as refused:
        decode(data, formats=SERVED_FORMATS)
    assert "0x" not in str(refused.value)


def png_header(width: int, height: int) -> bytes:
    """The header of a PNG of this size."""
    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    sealed = struct.pack(">I", 13) + header + struct.pack(">I", crc32(header))
    return b"\x89PNG\r\n\x1a\n" + sealed + struct.pack(">I", 9) + b"IDAT"


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("side", [8_000, 12_000, 60_000])
def test_the_size_is_checked_before_the_pixels_are_decoded(side: int) -> None:
    """A too large image is rejected from its header, by our limit, not by Pillow's larger one."""
    with pytest.raises(InvalidInputError, match=rf"too large.*{side}x{side}"):
        decode(png_header(side, side))


def test_decoding_in_threads_does_not_change_the_warning_filters() -> None:
    """Warning filters belong to the process; a thread that saves and restores them races."""
    before, data = list(warnings.filters), encoded(Image.fromarray(NOISE))
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(decode, [data] * 2000))
    assert list(warnings.filters) == before


def test_the_first_image_of_a_file_with_two_is_decoded() -> None:
    """A JPEG with an appended preview, as phones write it, is decoded."""
    first, second = Image.fromarray(NOISE), Image.fromarray(255 - NOISE)
    both = encoded(first, "MPO", save_all=True, append_images=[second])
    np.testing.assert_array_equal(decode(both), decode(encoded(first, "JPEG")))


def test_an_image_with_damaged_exif_is_decoded() -> None:
    """The orientation is read although another EXIF entry is invalid."""
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 3
    exif[ExifTags.Base.ImageDescription] = "a description"
    whole = encoded(Image.fromarray(NOISE), "JPEG", exif=exif)
    description, width = b"\x01\x0e\x00\x02", b"\x01\x00\x00\x02"  # tag, and the type of text
    assert whole.count(description) == 1
    np.testing.assert_array_equal(decode(whole.replace(description, width)), decode(whole))


DAMAGE = st.lists(st.tuples(st.integers(0, 159), st.integers(0, 255)), min_size=1, max_size=6)


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
@settings(max_examples=400, deadline=None)
@given(which=st.sampled_from(["PNG", "JPEG"]), damage=DAMAGE)
def test_damaged_bytes_are_decoded_or_rejected(which: str, damage: list[tuple[int, int]]) -> None:
    """Any damage of the file or its EXIF data is decoded or raises InvalidInputError."""
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    exif[ExifTags.Base.ImageDescription] = "a description"
    data = bytearray(encoded(Image.fromarray(NOISE), which, exif=exif))
    for place, value in damage:
        data[place] = value
    with suppress(InvalidInputError):
        assert decode(bytes(data)).shape[2] == 3


def test_the_square_follows_the_nucleus(cell_image: Callable[..., bytes]) -> None:
    """The located square is centred on the nucleus, also off the image's centre."""
    middle, shifted = (prepare(cell_image(0, shift=shift), CONTRACT) for shift in (0, 70))
    assert middle.cell_found
    assert shifted.cell_found
    assert abs(middle.box.left + middle.box.side / 2 - 162) < 8
    assert abs(middle.box.top + middle.box.side / 2 - 117) < 8
    assert abs(shifted.box.left - middle.box.left - 70) <= 4
    difference = np.abs(middle.crop.astype(int) - shifted.crop).mean()
    assert difference < 6


def test_a_larger_margin_gives_a_larger_square(cell_image: Callable[..., bytes]) -> None:
    """The margin is the ratio of the square's side to the nucleus's."""
    data = cell_image(0)
    narrow, wide = (
        prepare(data, CONTRACT.model_copy(update={"crop_margin": margin})) for margin in (1.0, 3.0)
    )
    assert narrow.box == narrow.nucleus
    assert wide.box.side == pytest.approx(3 * narrow.box.side, abs=3)


def test_a_share_of_the_photograph_keeps_cells_at_one_scale(
    cell_image: Callable[..., bytes],
) -> None:
    """Nuclei keep their relative size in the crop; a very large one gets a larger square."""
    data = cell_image(0)
    image = decode(data)
    scaled = CONTRACT.model_copy(update={"crop_margin": 1.4, "crop_share": 0.41})
    at_scale = round(0.41 * max(image.shape[:2]))
    small, large = (
        crop_box(CellBox(left=100, top=100, side=side), image, scaled) for side in (20, 200)
    )
    assert small == CellBox(left=100 - (at_scale - 20 + 1) // 2, top=small.left, side=at_scale)
    assert large.side == 280
    assert prepare(data, scaled).box.side >= at_scale


@pytest.mark.parametrize("grey", [0, 128, 255])
def test_an_image_without_stain_is_cropped_whole(grey: int) -> None:
    """The result says that no nucleus was found, and the crop shows the whole image."""
    prepared = prepare(encoded(Image.new("RGB", (100, 60), (grey,) * 3)), CONTRACT)
    assert not prepared.cell_found
    assert prepared.box == CellBox(left=0, top=-20, side=100)
    assert (prepared.crop == grey).all()


@pytest.mark.parametrize("size", [(1, 1), (1, 300), (300, 1), (30_000, 8)])
def test_any_shape_gives_the_networks_square(size: tuple[int, int]) -> None:
    """Images of any shape, also long and narrow ones, give a crop of the input size."""
    prepared = prepare(encoded(Image.new("RGB", size, (90, 40, 140))), CONTRACT)
    assert prepared.crop.shape == (128, 128, 3)
    assert prepared.crop.dtype == np.uint8


@given(left=st.integers(-80, 80), top=st.integers(-80, 80), side=st.integers(24, 200))
def test_a_square_over_the_border_is_filled_with_the_photographs_colour(
    left: int, top: int, side: int
) -> None:
    """Pixels outside the image have the median colour, not black or repeated borders."""
    image = np.full((40, 60, 3), 200, np.uint8)
    image[:, 30:] = 100
    cut = crop(image, CellBox(left=left, top=top, side=side), 32)
    assert cut.shape == (32, 32, 3)
    assert cut.min() >= 100
    assert cut.max() <= 200


def test_a_wedge_is_filled_and_a_dark_spot_inside_is_not() -> None:
    """Black corners are filled with the median colour; dark pixels inside the cell are kept."""
    image = np.full((100, 100, 3), (220, 190, 200), np.uint8)
    rows, columns = np.indices((100, 100))
    image[rows + columns < 60] = 0
    image[rows + columns == 60] = 20  # darkened by compression
    image[60:66, 60:66] = 5
    cut = crop(image, CellBox(left=0, top=0, side=100), 100)
    assert (cut[:30, :30] == (220, 190, 200)).all()
    assert (cut[61:65, 61:65] == 5).all()


def test_a_black_image_stays_black() -> None:
    """An image without photographed pixels has no median colour."""
    assert not crop(np.zeros((30, 40, 3), np.uint8), CellBox(left=-9, top=0, side=50), 32).any()


@given(
    left=st.integers(-90, 90),
    top=st.integers(-90, 90),
    side=st.integers(24, 130),
    size=st.sampled_from([4, 16, 32]),
)
def test_a_square_at_any_position_has_the_photographs_pixels(
    left: int, top: int, side: int, size: int
) -> None:
    """Each pixel comes from its position, inside, over the border or outside, subsampled or not."""
    bright = (NOISE // 2 + 100).astype(np.uint8)
    box = CellBox(left=left, top=top, side=side)
    step = max(1, side // (4 * size))
    places = range(0, side, step)
    plain = np.zeros((len(places), len(places), 3), np.uint8)
    for row, y in enumerate(places):
        for column, x in enumerate(places):
            if 0 <= top + y < 40 and 0 <= left + x < 60:
                plain[row, column] = bright[top + y, left + x]
    outside = (plain == 0).all(axis=-1)
    if outside.any():
        median = np.median(bright.reshape(-1, 3), axis=0).astype(np.uint8)
        plain[ndimage.binary_dilation(outside, iterations=2)] = median
    expected = Image.fromarray(plain).resize((size, size), Image.Resampling.BILINEAR)
    assert (crop(bright, box, size) == np.asarray(expected)).all()
