"""How much of what the processor can do the engine's convolutions reach."""

import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.measure import Row, single_row
from pipeline.artifacts import Precision
from pipeline.contract.decoding import Pixels
from pipeline.engine.compiled import compile_graph, multiplications, save_graph
from pipeline.engine.quantization import quantize

_SIDE, _CHANNELS, _LAYERS = 56, 256, 6
"""Convolutions of 3 x 3 that are large enough to keep every core at work."""
_ROUNDS = 60
_UNIT = "GOP/s"


def peak_rows(served: Path, precision: Precision) -> list[Row]:
    """The engine's operations a second, as a share of the fastest that convolutions run here.

    Args:
        served: folder of a served bundle.
        precision: what it computes in.
    """
    import openvino as ov

    graph = ov.Core().read_model(served / "model.xml")
    side = graph.input(0).get_partial_shape()[1].get_length()
    crop = np.random.default_rng(1).integers(0, 256, (1, side, side, 3), np.uint8)
    graph.reshape({0: list(crop.shape)})
    reached = _operations(graph) / _seconds(graph, precision, crop)
    rows = [
        single_row("multiplications and additions of the engine", reached / 1e9, _UNIT, precision)
    ]
    with tempfile.TemporaryDirectory() as folder:
        _write_stack(Path(folder) / "f32.xml")
        pixels = np.random.default_rng(1).integers(0, 256, (8, _SIDE, _SIDE, 3), np.uint8)
        quantize(Path(folder) / "f32.xml", Path(folder) / "int8.xml", pixels)
        for name in ("f32", "bf16", "int8"):
            stack = ov.Core().read_model(
                Path(folder) / f"{'int8' if name == 'int8' else 'f32'}.xml"
            )
            stack.reshape({0: [1, _SIDE, _SIDE, 3]})
            most = _operations(stack) / _seconds(stack, name, pixels[:1])
            rows.append(
                single_row(f"peak of convolutions at {name}", most / 1e9, _UNIT, "large ones alone")
            )
            if name == precision.removesuffix("-thin"):
                share = single_row(
                    "share of that peak", reached / most, "", f"the engine at {name}"
                )
    return [*rows, share]


def _operations(graph: Any) -> float:
    """Multiplications and additions of all convolutions of a graph with a fixed shape."""
    return 2.0 * multiplications(graph)


def _seconds(graph: Any, precision: str, pixels: Pixels) -> float:
    """Of the fastest round: what the processor can do is not what a busy moment leaves."""
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
