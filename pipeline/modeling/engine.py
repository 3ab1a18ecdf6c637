"""The serving engine: an exported bundle answered by OpenVINO, without TensorFlow."""

import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.artifacts import Parity
from pipeline.contract.decoding import Pixels

MODEL_XML = "model.xml"
Floats = NDArray[np.float32]


class Engine:
    """A compiled model; safe to call from several threads, each call with a request of its own."""

    def __init__(self, folder: Path, precision: str) -> None:
        """Compile `folder/model.xml` at `precision` (`f32` or `bf16`)."""
        os.environ.setdefault("OPENVINO_TELEMETRY_OPT_OUT", "1")
        import openvino as ov

        core = ov.Core()
        self._compiled = core.compile_model(
            core.read_model(folder / MODEL_XML),
            "CPU",
            {"INFERENCE_PRECISION_HINT": precision, "PERFORMANCE_HINT": "LATENCY"},
        )

    @classmethod
    def of(cls, folder: Path, parity: Parity) -> "Engine":
        """The engine at the precision that passed the parity check."""
        return cls(folder, parity.precision)

    def predict(self, crops: Pixels) -> tuple[Floats, Floats]:
        """Answer crops.

        Args:
            crops: (n, size, size, 3) uint8 as `prepare` cuts them.

        Returns:
            Probabilities (n, classes) and embeddings (n, embedding_size).
        """
        request = self._compiled.create_infer_request()
        result = request.infer({0: crops})
        return np.array(result["probabilities"]), np.array(result["embedding"])
