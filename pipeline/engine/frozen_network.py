"""The frozen part of the network as an OpenVINO graph, built from the weights.

Feature extraction is most of a training's time, and OpenVINO at bf16 is twice as fast as TensorFlow
at float32 on the same cores. The graph is VGG16 (Simonyan & Zisserman, ICLR 2015);
`tests/unit/engine/test_frozen_network.py` compares its outputs with those of Keras.
"""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.config.hyperparameters import FeaturesConfig
from pipeline.contract.decoding import Pixels
from pipeline.contract.model_contract import ModelContract
from pipeline.engine.openvino_graph import compile_graph
from pipeline.engine.region_means import region_means

LAYERS = (
    "block1_conv1 block1_conv2 block2_conv1 block2_conv2 block3_conv1 block3_conv2 block3_conv3 "
    "block4_conv1 block4_conv2 block4_conv3 block5_conv1 block5_conv2 block5_conv3"
).split()
Arrays = dict[str, NDArray[np.float32]]

TORCH_MEAN, TORCH_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Mean and deviation of ImageNet in RGB, 0 to 1: torchvision's weights expect them."""
CAFFE_MEAN = (103.939, 116.779, 123.68)
"""Mean of ImageNet in BGR, 0 to 255: Keras's own weights expect it."""


class FrozenNetwork:
    """VGG16 up to the freeze boundary: computes the activations that the feature cache stores."""

    def __init__(
        self,
        contract: ModelContract,
        arrays: Arrays,
        normalization: str,
        features: FeaturesConfig,
        precision: str = "bf16",
    ) -> None:
        """Build and compile; `precision` is `bf16` (if the processor supports it) or `f32`."""
        graph = _build_graph(contract.input_size, arrays, normalization, features)
        self._compiled = compile_graph(graph, precision)

    def __call__(self, crops: Pixels, batch_size: int = 16) -> NDArray[np.float16]:
        """Region means (n, values) or maps (n, height, width, channels) of crops, in batches.

        A request occupies one core: the thread pool has as many threads as OpenVINO recommends
        requests. Not `AsyncInferQueue`: OpenVINO 2026.4.1 releases a callback in a thread of its
        own, and hangs if the network is deleted at that time.
        """
        batches = [crops[start : start + batch_size] for start in range(0, len(crops), batch_size)]
        streams = self._compiled.get_property("OPTIMAL_NUMBER_OF_INFER_REQUESTS")
        with ThreadPoolExecutor(streams) as pool:
            return np.concatenate(list(pool.map(self._infer, batches)))

    def _infer(self, batch: Pixels) -> NDArray[np.float16]:
        request = self._compiled.create_infer_request()
        return np.array(request.infer({0: batch})[0], np.float16)


def _build_graph(size: int, arrays: Arrays, normalization: str, features: FeaturesConfig) -> Any:
    """The `openvino.Model`: pixels uint8 to region means or maps, up to the boundary."""
    import openvino as ov
    from openvino import opset13 as ops

    pixels = ops.parameter([-1, size, size, 3], np.uint8, name="pixels")
    planes = ops.transpose(ops.convert(pixels, np.float32), np.array([0, 3, 1, 2]))
    x = _normalized(planes, normalization)
    levels = []
    for index, layer in enumerate(LAYERS):
        kernel = arrays[f"{layer}/kernel"].transpose(3, 2, 0, 1)
        bias = arrays[f"{layer}/bias"].reshape(1, -1, 1, 1)
        x = ops.convolution(x, np.ascontiguousarray(kernel), [1, 1], [1, 1], [1, 1], [1, 1])
        x = ops.relu(ops.add(x, bias))
        block = layer.partition("_")[0]
        if index + 1 == len(LAYERS) or not LAYERS[index + 1].startswith(block):
            x = ops.max_pool(x, [2, 2], [1, 1], [0, 0], [0, 0], [2, 2]).output(0)
            levels.append(x)
            if features.boundary == f"{block}_pool":
                break
    if features.keep == "maps":
        outputs = ops.transpose(x, np.array([0, 2, 3, 1]))
    else:
        outputs = region_means(planes, levels, size)
    return ov.Model([outputs], [pixels], "frozen")


def _normalized(x: Any, normalization: str) -> Any:
    """RGB planes (n, 3, height, width), 0 to 255, normalised as the weights expect."""
    from openvino import opset13 as ops

    if normalization == "torch":
        mean = np.array(TORCH_MEAN, np.float32).reshape(1, 3, 1, 1) * 255
        scale = 1 / (np.array(TORCH_STD, np.float32).reshape(1, 3, 1, 1) * 255)
        return ops.multiply(ops.subtract(x, mean), scale)
    planes = ops.gather(x, np.array([2, 1, 0]), np.array(1))
    return ops.subtract(planes, np.array(CAFFE_MEAN, np.float32).reshape(1, 3, 1, 1))
