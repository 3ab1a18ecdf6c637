"""A served bundle as an MLflow pyfunc model; `mlflow.pyfunc.load_model` calls this module.

It imports neither MLflow nor the store, and nothing is unpickled.
"""

import base64
import binascii
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.artifacts import MANIFEST, ServedManifest
from pipeline.contract.decision import decide, read_review
from pipeline.contract.golden_images import replay_golden
from pipeline.contract.preprocessing import prepare
from pipeline.digests import require_files
from pipeline.engine.serving_engine import Engine
from pipeline.errors import InvalidInputError

if TYPE_CHECKING:
    import pandas as pd

IMAGE = "image"
"""The one column of the input: bytes of a JPEG or PNG, or the same in base64."""


def _load_pyfunc(path: str) -> "ServedModel":
    """Load the model in a folder; MLflow calls the function by this name."""
    return ServedModel(Path(path))


class ServedModel:
    """Classifies images like the service: same contract, engine and review rule."""

    def __init__(self, folder: Path) -> None:
        """Load a bundle folder, verify it against its manifest and replay its golden images.

        Raises:
            ArtifactError: if a file differs from the manifest, the preprocessing has another
                version, or a golden image's prediction exceeds the tolerance.
        """
        manifest = ServedManifest.model_validate_json((folder / MANIFEST).read_bytes())
        require_files(folder, manifest.files)
        self._contract = manifest.contract
        self._contract.require_current()
        self._rule = read_review(folder, self._contract)
        self._engine = Engine(folder, manifest.parity.precision)
        predict = self._engine.probabilities
        replay_golden(folder, self._contract, predict, manifest.parity.precision)

    def predict(self, images: "pd.DataFrame") -> "pd.DataFrame":
        """Classify images: label, decision, uncertainty and probabilities in one row per image.

        Args:
            images: with a column `image`: bytes of a JPEG or PNG, or the same in base64.

        Returns:
            `label`, `decision` (accept or review), `uncertainty` (1 is the review limit)
                and `probabilities` (class to probability).

        Raises:
            InvalidInputError: if the column is missing, or a value is not an image.
        """
        import pandas as pd

        if IMAGE not in images:
            raise InvalidInputError(
                f"input has no column `{IMAGE}`",
                expected="bytes of a JPEG or PNG, or the same in base64",
                received=f"columns {', '.join(map(str, images))}",
            )
        return pd.DataFrame([self._classify(_image_bytes(value)) for value in images[IMAGE]])

    def _classify(self, data: bytes) -> dict[str, Any]:
        """The row of one image; InvalidInputError if it cannot be decoded."""
        prepared = prepare(data, self._contract)
        probabilities, embedding = (out[0] for out in self._engine.predict(prepared.crop[None]))
        decided = decide(
            probabilities.tolist(), embedding, prepared.cell_found, self._contract, self._rule
        )
        by_class = dict(zip(self._contract.classes, map(float, probabilities), strict=True))
        return decided.model_dump(exclude={"reasons"}) | {"probabilities": by_class}


def _image_bytes(value: object) -> bytes:
    """Bytes as they are, text decoded from base64; InvalidInputError if it is not base64."""
    if isinstance(value, bytes | bytearray):
        return bytes(value)
    try:
        return base64.b64decode(str(value), validate=True)
    except binascii.Error as error:
        raise InvalidInputError(
            "not an image", expected="bytes, or base64 of them", received=str(value)[:40]
        ) from error
