"""Hyper-parameters: frozen layers, cached crops, penalty, epochs, learning rate, augmentation."""

from typing import Literal

from pydantic import Field

from pipeline.records import Frozen


class FeaturesConfig(Frozen):
    """What the frozen part of the network computes and caches of each image."""

    boundary: Literal["block3_pool", "block4_pool", "block5_pool"] = "block3_pool"
    """Freeze boundary: layers up to here are frozen and computed once per image."""
    keep: Literal["regions", "maps"] = "regions"
    """What is cached. `regions`: means of every frozen block over the nucleus and its surroundings,
    on which a linear head is fitted. `maps`: the boundary's activations, on which VGG16's remaining
    blocks and the head are trained."""
    jitters: int = Field(default=0, ge=0, le=8)
    """Additional crops per image with jittered colour and scale, from which training samples."""
    shards: int = Field(default=2, ge=1, le=16)
    batch_size: int = Field(default=16, ge=1)


class TrainConfig(Frozen):
    """Training of the unfrozen part; docs/experiments.md lists the experiments."""

    penalty: float = Field(default=0.5, gt=0)
    """L2 penalty of the head for `keep: regions`: factor of half the squared weights, added to the
    mean loss. Of the fields below, `keep: regions` uses `folds`, `copies`, `seed` and
    `golden_per_class`; the others are for `keep: maps`."""
    folds: int = Field(default=5, ge=2)
    """Folds for calibration: each fold's held-out cells calibrate a head fitted on the others."""
    epochs: int = Field(default=8, ge=1)
    steps: int = Field(default=100, ge=1)
    """Batches per epoch; images are sampled by weight."""
    batch_size: int = Field(default=32, ge=2)
    learning_rate: float = Field(default=2e-4, gt=0)
    weight_decay: float = Field(default=0.01, ge=0)
    label_smoothing: float = Field(default=0.1, ge=0, lt=1)
    mixup: float = Field(default=0.2, ge=0)
    dropout: float = Field(default=0.2, ge=0, lt=1)
    averaging: float = Field(default=0.98, ge=0, lt=1)
    """Decay of the exponential moving average of the weights, per step."""
    copies: float = Field(default=0.5, ge=0, le=1)
    """A cell with n images is sampled n**copies times as often as a cell with one."""
    seed: int = 7
    golden_per_class: int = Field(default=2, ge=1, le=8)
