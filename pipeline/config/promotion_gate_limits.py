"""Limits of the promotion gate: accuracy, loss against the champion, calibration, latency, size."""

from pydantic import Field

from pipeline.records import Frozen


class GateConfig(Frozen):
    """Thresholds and margins of the gate; docs/decisions/0005-gate-margins.md explains them."""

    min_balanced_accuracy: float = Field(default=0.6, ge=0, le=1)
    min_class_sensitivity: float = Field(default=0.3, ge=0, le=1)
    first_min_low: float = Field(default=0.5, ge=0, le=1)
    """Minimum lower bound of balanced accuracy for a first model, which has no champion."""
    max_loss: float = Field(default=0.05, ge=0, le=1)
    """Maximum loss of balanced accuracy against the champion, at the percentile-bootstrap lower
    bound."""
    max_class_loss: float = Field(default=0.25, ge=0, le=1)
    """The same for each class's sensitivity; few cells make wide intervals."""
    min_class_cells: int = Field(default=3, ge=2)
    """Minimum number of cells per class that neither model was trained on."""
    max_calibration_error: float = Field(default=0.05, ge=0, le=1)
    """Maximum of the lower bound of the expected calibration error."""
    min_parity: float = Field(default=0.995, ge=0, le=1)
    """Minimum top-1 agreement of the serving engine with Keras."""
    max_parity_loss: float = Field(default=0.002, ge=0, le=1)
    """Maximum loss of balanced accuracy of the serving engine against Keras."""
    max_latency_ms: float = Field(default=500.0, gt=0)
    max_size_mb: float = Field(default=250.0, gt=0)
    """Maximum size of the served bundle, in 10^6 bytes."""
    draws: int = Field(default=1000, ge=100)
