"""Training and serving use the same pixels and return the same probabilities."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import httpx
import numpy as np
import pytest

from pipeline.adapters.image_packs import read_images
from pipeline.artifacts import BundleManifest, ServedManifest, SplitManifest
from pipeline.contract.cell_box import CellBox
from pipeline.contract.decoding import decode
from pipeline.contract.golden_images import tolerance
from pipeline.contract.preprocessing import crop, prepare
from pipeline.demo.traffic import wait_for_model
from pipeline.entrypoints import promotion
from pipeline.entrypoints.jobs.job import open_store
from pipeline.records import Record, from_csv
from tests.integration.training.trained import RUN, Trained, variables

pytestmark = [pytest.mark.integration, pytest.mark.slow]

DECISION = {"author": "test", "reason": "skew"}


def test_the_same_bytes_get_the_same_pixels_and_probabilities(
    tmp_path: Path,
    trained_untracked: Trained,
    serve: "Callable[..., AbstractContextManager[str]]",
) -> None:
    """The cell box in the response yields the training pixels; Keras and HTTP agree."""
    import keras

    trained = trained_untracked.with_store(tmp_path / "store")
    with variables(trained.environment):
        promotion.promote(trained.config, RUN, trained.verdict, DECISION, untracked=True)
        store = open_store()
        served = store.open(trained.served, ServedManifest).manifest
        split = store.open(trained.split, SplitManifest)
        records = from_csv(store.read(split, "records.csv").decode(), Record)
        test_images = [record for record in records if record.part == "test"][:8]
        images = [data for _, data in read_images(store, test_images)]
        bundle = store.open(trained.bundle, BundleManifest)
        store.fetch(bundle, tmp_path / "bundle", ["model.keras"])
    trained_pixels = np.stack([prepare(data, served.contract).crop for data in images])
    model = keras.models.load_model(tmp_path / "bundle" / "model.keras", compile=False)
    expected = model.predict(trained_pixels, verbose=0)["probabilities"]
    (tmp_path / "serving").mkdir()
    with serve(tmp_path / "serving", tmp_path / "store", MODEL_NAME="tiny") as url:
        wait_for_model(url, served.tag)
        for data, pixels, probabilities in zip(images, trained_pixels, expected, strict=True):
            response = httpx.post(f"{url}/classify", files={"image": ("x.jpeg", data)})
            assert response.is_success, response.text
            body = response.json()
            box = CellBox.model_validate(body["cell"])
            served_pixels = crop(decode(data), box, served.contract.input_size)
            np.testing.assert_array_equal(served_pixels, pixels)
            received = [body["probabilities"][name] for name in served.contract.classes]
            bound = tolerance(served.contract, served.parity.precision)
            np.testing.assert_allclose(received, probabilities, atol=bound)
