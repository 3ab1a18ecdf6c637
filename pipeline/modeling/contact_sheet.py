"""A labelled grid of images on one page, for people to look at."""

import io
import math
from collections.abc import Sequence

from PIL import Image, ImageDraw, ImageOps

_CAPTION = 16
_GAP = 6


def contact_sheet(rows: Sequence[tuple[str, bytes]], *, columns: int, thumb: int) -> Image.Image:
    """Lay images out in reading order, each over its label.

    Args:
        rows: a label and the bytes of a JPEG or PNG for each image.
        columns: images beside each other.
        thumb: side in pixels of the square that each image is fitted into.

    Raises:
        ValueError: there are no rows, or `columns` or `thumb` is not positive.
    """
    if not rows or columns < 1 or thumb < 1:
        raise ValueError(
            "a contact sheet needs an image, a column and a size; expected at least 1 of each, "
            f"received rows={len(rows)}, columns={columns}, thumb={thumb}"
        )
    pictures = [_fitted(data, thumb) for _, data in rows]
    width, height = (max(sides) for sides in zip(*(p.size for p in pictures), strict=True))
    step_x, step_y = width + _GAP, height + _CAPTION + _GAP
    lines = math.ceil(len(rows) / columns)
    size = (min(columns, len(rows)) * step_x + _GAP, lines * step_y + _GAP)
    sheet = Image.new("RGB", size, "white")
    pen = ImageDraw.Draw(sheet)
    for number, ((label, _), picture) in enumerate(zip(rows, pictures, strict=True)):
        left = _GAP + number % columns * step_x
        top = _GAP + number // columns * step_y
        sheet.paste(picture, (left + (width - picture.width) // 2, top + height - picture.height))
        pen.text((left + width / 2, top + height + 2), label, fill="black", anchor="ma")
    return sheet


def _fitted(data: bytes, thumb: int) -> Image.Image:
    with Image.open(io.BytesIO(data), formats=("JPEG", "PNG")) as image:
        return ImageOps.contain(image.convert("RGB"), (thumb, thumb))
