"""Baseline: the replaced application, with its model loaded once instead of for every request.

`python -m benchmarks.service.baselines.replaced_app PORT SIDE`: Flask and Keras, VGG16 with a
flattened head, at SIDE pixels. It accepts the form of `/classify`, decodes with Pillow and
returns a
class name.
"""

import io
import logging
import sys

import keras
import numpy as np
from flask import Flask, request
from PIL import Image
from werkzeug.serving import make_server

from pipeline.sample.cells import CLASSES


def create(side: int) -> Flask:
    """The replaced application as a Flask app, with random weights."""
    backbone = keras.applications.VGG16(
        include_top=False, weights=None, input_shape=(side, side, 3)
    )
    flat = keras.layers.Flatten()(backbone.output)
    probabilities = keras.layers.Dense(len(CLASSES), activation="softmax")(flat)
    model = keras.Model(backbone.input, probabilities)
    app = Flask("replaced")

    @app.post("/classify")
    def classify() -> dict[str, str]:
        data = request.files["image"].read()
        image = Image.open(io.BytesIO(data)).convert("RGB").resize((side, side))
        pixels = np.asarray(image, np.float32)[None] / 255
        return {"image": CLASSES[int(model.predict(pixels, verbose=0).argmax())]}

    return app


if __name__ == "__main__":
    logging.getLogger("werkzeug").setLevel(logging.WARNING)
    port, side = map(int, sys.argv[1:])
    make_server("127.0.0.1", port, create(side), threaded=True).serve_forever()
