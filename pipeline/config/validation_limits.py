"""Limits of a dataset: smallest and largest image, images per class, share of unusable images."""

from pydantic import Field

from pipeline.contract.decoding import MAX_PIXELS
from pipeline.records import Frozen


class ValidateConfig(Frozen):
    """Limits of an image and a dataset."""

    min_side: int = 32
    max_pixels: int = Field(default=MAX_PIXELS, ge=1, le=MAX_PIXELS)
    min_images_per_class: int = 8
    max_quarantined_share: float = Field(default=0.05, ge=0, le=1)
