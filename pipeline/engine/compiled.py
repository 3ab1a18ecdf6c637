"""A graph compiled for the processor, and written to a file."""

import math
import threading
from pathlib import Path
from typing import Any

CONVOLUTION = "Convolution"
_FIRST_LOOK = threading.Lock()


def compile_graph(graph: Any, precision: str, at_once: int | None = None) -> Any:
    """Compile; the result may be asked by several threads, each with a request of its own.

    Whoever wants an engine starts OpenVINO here and nowhere else.

    Args:
        graph: an `openvino.Model`, or the path of one.
        precision: `bf16` where the processor has it; with any other, floats have 32 bits and an
            8-bit graph carries its own.
        at_once: requests among which the cores are shared out: with 1, all cores work on one. By
            default OpenVINO chooses as many as promise the most answers.
    """
    import openvino as ov

    # The first look at a tensor's data asks NumPy's version in Python while it holds a C++ lock
    # (pybind11 in OpenVINO 2026.4.1): two threads that look first at once wait for each other.
    with _FIRST_LOOK:
        _ = ov.Tensor(ov.Type.u8, ov.Shape([1])).data
    floats = "bf16" if precision == "bf16" else "f32"
    hints = {"INFERENCE_PRECISION_HINT": floats}
    hints["PERFORMANCE_HINT"] = "LATENCY" if at_once == 1 else "THROUGHPUT"
    if at_once is not None:
        hints["NUM_STREAMS"] = str(at_once)
    return ov.Core().compile_model(graph, "CPU", hints)


def read_for_one(path: Path) -> Any:
    """The `openvino.Model` of a file, for one image at a time.

    A batch of any size costs a twentieth more, since shapes are then found out with every answer,
    and a processor that one image already fills gains nothing from many at once.
    """
    import openvino as ov

    graph = ov.Core().read_model(path)
    (pixels,) = graph.inputs
    graph.reshape([1, *list(pixels.partial_shape)[1:]])
    return graph


def convolutions(graph: Any) -> list[Any]:
    """The convolutions of an `openvino.Model`, the first that works first."""
    return [node for node in graph.get_ordered_ops() if node.get_type_name() == CONVOLUTION]


def multiplications(graph: Any) -> int:
    """Of all convolutions of a graph whose input has a fixed shape."""
    return sum(
        math.prod(node.input_value(1).get_shape()) * math.prod(node.output(0).get_shape()[2:])
        for node in convolutions(graph)
    )


def save_graph(graph: Any, target: Path) -> None:
    """Write an `openvino.Model` so that the same one is the same file.

    OpenVINO numbers nodes by all that the process ever made.
    """
    import openvino as ov

    for place, node in enumerate(graph.get_ordered_ops()):
        node.set_friendly_name(f"{node.get_type_name()}_{place}")
    ov.save_model(graph, target, compress_to_fp16=False)
