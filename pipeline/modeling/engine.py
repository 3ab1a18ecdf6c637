"""The serving engine: an exported bundle answered by OpenVINO, without TensorFlow."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.artifacts import Parity, Precision
from pipeline.contract.decoding import Pixels
from pipeline.modeling.compiled import compile_graph

MODEL_XML = "model.xml"
Floats = NDArray[np.float32]


class Engine:
    """A compiled model; safe to call from several threads, each call with a request of its own."""

    def __init__(self, folder: Path, precision: Precision) -> None:
        """Compile `folder/model.xml`; an int8 model carries its own precision."""
        self._compiled = compile_graph(folder / MODEL_XML, precision, "LATENCY")

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
