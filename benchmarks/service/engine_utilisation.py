"""Utilisation: the engine's operations per second, against the processor's peak."""

import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.images import random_crops
from benchmarks.measure import Row, single_row
from pipeline.artifacts import Precision
from pipeline.contract.decoding import Pixels
from pipeline.engine.openvino_graph import compile_graph, multiplications, save_graph
from pipeline.engine.quantization import quantize

_SIDE, _CHANNELS, _LAYERS = 56, 256, 6
"""Convolutions of 3 x 3, large enough to use every core."""
_ROUNDS = 60
_UNIT = "GOP/s"


def utilisation_rows(served: Path, precision: Precision) -> list[Row]:
    """The engine's operations per second, and as a share of the peak of convolutions here.

    Args:
        served: folder of a served bundle.
        precision: of the engine.
    """
    import openvino as ov

    graph = ov.Core().read_model(served / "model.xml")
    side = graph.input(0).get_partial_shape()[1].get_length()
    crop = random_crops(1, side)
    graph.reshape({0: list(crop.shape)})
    reached = _operations(graph) / _seconds(graph, precision, crop)
    rows = [
        single_row("multiplications and additions of the engine", reached / 1e9, _UNIT, precision)
    ]
    with tempfile.TemporaryDirectory() as folder:
        floats, integers = Path(folder) / "f32.xml", Path(folder) / "int8.xml"
        _write_stack(floats)
        pixels = random_crops(8, _SIDE)
        quantize(floats, integers, pixels)
        for name, file in (("f32", floats), ("bf16", floats), ("int8", integers)):
            stack = ov.Core().read_model(file)
            stack.reshape({0: [1, _SIDE, _SIDE, 3]})
            peak = _operations(stack) / _seconds(stack, name, pixels[:1])
            title = f"peak of convolutions at {name}"
            rows.append(single_row(title, peak / 1e9, _UNIT, "large convolutions"))
            if name == precision.removesuffix("-thin"):
                baseline = f"the engine at {name}"
                share = single_row("share of that peak", reached / peak, "", baseline)
    return [*rows, share]


def _operations(graph: Any) -> float:
    """Multiplications and additions of all convolutions of a graph with a fixed shape."""
    return 2.0 * multiplications(graph)


def _seconds(graph: Any, precision: str, pixels: Pixels) -> float:
    """Seconds of the fastest round: the peak excludes interference by other processes."""
    compiled = compile_graph(graph, precision, 1)
    request = compiled.create_infer_request()
    request.infer({0: pixels})
    times = []
    for _ in range(_ROUNDS):
        start = time.perf_counter()
        request.infer({0: pixels})
        times.append(time.perf_counter() - start)
    return min(times)


def _write_stack(target: Path) -> None:
    """Write a network of convolutions alone, in float32."""
    import openvino as ov
    from openvino import opset13 as ops

    rng = np.random.default_rng(5)
    pixels = ops.parameter([-1, _SIDE, _SIDE, 3], np.uint8, name="pixels")
    x = ops.transpose(ops.convert(pixels, np.float32), np.array([0, 3, 1, 2]))
    for layer in range(_LAYERS):
        channels = _CHANNELS if layer else 3
        kernel = rng.normal(0, (channels * 9) ** -0.5, (_CHANNELS, channels, 3, 3))
        x = ops.convolution(x, kernel.astype(np.float32), [1, 1], [1, 1], [1, 1], [1, 1])
        x = ops.relu(x)
    save_graph(ov.Model([x], [pixels], "stack"), target)
