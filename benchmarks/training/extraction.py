"""Feature extraction by the frozen layers: OpenVINO, as featurize runs it, against Keras.

The weights are random: speed does not depend on them, and nothing is downloaded.
"""

from functools import partial

from benchmarks.images import random_crops
from benchmarks.measure import Row, ratio
from benchmarks.training.random_weights import draw_weights
from pipeline.config.hyperparameters import FeaturesConfig
from pipeline.contract.model_contract import ModelContract
from pipeline.engine.frozen_network import FrozenNetwork

BATCH = 16
MAPS = FeaturesConfig(boundary="block5_pool", keep="maps")


def rows() -> list[Row]:
    """Speed at 128 px, batch 16 as in featurize and batch 1 as in serving."""
    from pipeline.modeling.network import backbone

    contract = ModelContract(name="bench", classes=("A", "B"))
    arrays = draw_weights()
    keras = backbone(contract, arrays, "torch")
    crops = random_crops(BATCH, contract.input_size)
    rows = []
    for precision in ("bf16", "f32"):
        engine = FrozenNetwork(contract, arrays, "torch", MAPS, precision)
        for size in (BATCH, 1):
            row = ratio(
                f"VGG16 to block5_pool, OpenVINO {precision}, batch {size}",
                partial(engine, crops[:size]),
                partial(keras.predict, crops[:size], verbose=0),
                f"keras predict, float32, batch {size}",
            )
            rows.append(row)
    return rows
