"""Colour and scale jitter: crops of a cell as other stains, lamps and magnifications show it.

Jitter needs the pixels, so that each jittered crop is drawn once, seeded by its name, and its
activations are cached. `training_loop.rotated` rotates and mirrors cached activations.
"""

import hashlib

import numpy as np

from pipeline.contract.cell_box import CellBox
from pipeline.contract.decoding import Pixels
from pipeline.contract.model_contract import ModelContract
from pipeline.contract.preprocessing import Prepared, crop

VERSION = "1"
"""Changes whenever `jittered` could return other pixels for the same name."""

_SCALE = 0.2
"""Largest absolute logarithm of the jittered side over the original one."""
_LAMP, _CHANNEL, _GAMMA, _SATURATION = 0.08, 0.06, 0.12, 0.2
"""Standard deviations of the logarithms of brightness, of each channel's gain, of gamma and of
saturation: about the range between the lightest and darkest photographs of one laboratory."""


def crop_names(sha256: str, jitters: int) -> tuple[str, ...]:
    """Names of an image's crops: its hash for the original crop, then the jittered crops' names."""
    return (sha256, *(f"{sha256}~{VERSION}.{number}" for number in range(1, jitters + 1)))


def jittered(prepared: Prepared, contract: ModelContract, name: str) -> Pixels:
    """Crop an image with random scale and colour (size, size, 3); equal names give equal crops."""
    seed = hashlib.sha256(name.encode()).digest()
    rng = np.random.default_rng(list(seed))
    cut = crop(prepared.image, _randomly_scaled(prepared.box, rng), contract.input_size)
    gains = np.exp(rng.normal(0, _LAMP) + rng.normal(0, _CHANNEL, 3))
    shares = np.clip(cut / 255 * gains, 0, 1) ** np.exp(rng.normal(0, _GAMMA))
    grey = shares.mean(axis=-1, keepdims=True)
    shares = grey + (shares - grey) * np.exp(rng.normal(0, _SATURATION))
    return np.asarray(np.clip(shares * 255, 0, 255), np.uint8)


def _randomly_scaled(box: CellBox, rng: np.random.Generator) -> CellBox:
    """The square scaled at random by up to a fifth, at least 24 pixels; draws from `rng`."""
    return box.resized(max(24, round(box.side * float(np.exp(rng.uniform(-_SCALE, _SCALE))))))
