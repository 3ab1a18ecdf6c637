import io

import numpy as np
import pytest
from PIL import Image

from pipeline.modeling.contact_sheet import contact_sheet


def _png(width: int, height: int, colour: str) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (width, height), colour).save(buffer, "PNG")
    return buffer.getvalue()


def test_lays_images_out_in_reading_order() -> None:
    """The third of three images in two columns opens the second line."""
    rows = [("a", _png(40, 30, "red")), ("b", _png(40, 30, "lime")), ("c", _png(40, 30, "blue"))]
    sheet = np.asarray(contact_sheet(rows, columns=2, thumb=80))
    middle_of_first_line, middle_of_second_line = 6 + 30, 6 + 60 + 16 + 6 + 30
    assert tuple(sheet[middle_of_first_line, 40]) == (255, 0, 0)
    assert tuple(sheet[middle_of_first_line, 40 + 86]) == (0, 255, 0)
    assert tuple(sheet[middle_of_second_line, 40]) == (0, 0, 255)
    assert tuple(sheet[middle_of_second_line, 40 + 86]) == (255, 255, 255)


def test_keeps_the_shape_of_each_image() -> None:
    """A tall and a wide image share a line and neither is stretched."""
    rows = [("tall", _png(10, 40, "red")), ("wide", _png(40, 10, "blue"))]
    sheet = np.asarray(contact_sheet(rows, columns=2, thumb=40)).astype(int)
    red = (sheet[..., 0] > 250) & (sheet[..., 1] < 5)
    blue = (sheet[..., 2] > 250) & (sheet[..., 1] < 5)
    assert red.sum() == blue.sum() == 400


def test_an_empty_sheet_is_refused() -> None:
    """Nothing to show is an error, not an empty picture."""
    with pytest.raises(ValueError, match="rows=0"):
        contact_sheet([], columns=2, thumb=80)
