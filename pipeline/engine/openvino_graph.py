"""OpenVINO graphs: compile for the CPU, save reproducibly, count multiplications."""

import math
import threading
from pathlib import Path
from typing import Any

CONVOLUTION = "Convolution"
_NUMPY_CHECK_LOCK = threading.Lock()


def compile_graph(graph: Any, precision: str, streams: int | None = None) -> Any:
    """Compile a graph for the CPU; threads may share the result, each with its own infer request.

    All code compiles through this function, since it works around a deadlock (below).

    Args:
        graph: an `openvino.Model`, or the path of one.
        precision: `bf16` if the processor supports it; any other value computes floats in 32 bits.
            An int8 graph carries its own precision.
        streams: infer requests that share the cores; with 1, all cores work on one request. By
            default OpenVINO chooses for the highest throughput.
    """
    import openvino as ov

    # The first access to a tensor's data reads NumPy's version while it holds a C++ lock (pybind11
    # in OpenVINO 2026.4.1): two threads that make it at the same time deadlock.
    with _NUMPY_CHECK_LOCK:
        _ = ov.Tensor(ov.Type.u8, ov.Shape([1])).data
    hints = {
        "INFERENCE_PRECISION_HINT": "bf16" if precision == "bf16" else "f32",
        "PERFORMANCE_HINT": "LATENCY" if streams == 1 else "THROUGHPUT",
    }
    if streams is not None:
        hints["NUM_STREAMS"] = str(streams)
    return ov.Core().compile_model(graph, "CPU", hints)


def read_single_image_graph(path: Path) -> Any:
    """The `openvino.Model` of a file, reshaped to a batch of one image.

    A dynamic batch size takes 5 % longer, since shapes are inferred at each request, and larger
    batches are no faster on a CPU.
    """
    import openvino as ov

    graph = ov.Core().read_model(path)
    (pixels,) = graph.inputs
    graph.reshape([1, *list(pixels.partial_shape)[1:]])
    return graph


def convolutions(graph: Any) -> list[Any]:
    """The convolutions of an `openvino.Model`, in order of execution."""
    return [node for node in graph.get_ordered_ops() if node.get_type_name() == CONVOLUTION]


def multiplications(graph: Any) -> int:
    """Number of multiplications in the convolutions of a graph with a static input shape."""
    return sum(
        math.prod(node.input_value(1).get_shape()) * math.prod(node.output(0).get_shape()[2:])
        for node in convolutions(graph)
    )


def save_graph(graph: Any, target: Path) -> None:
    """Write an `openvino.Model`, equal models as equal files; renames the nodes of `graph`.

    OpenVINO numbers nodes by a counter of the process, so that names depend on earlier graphs.
    """
    import openvino as ov

    for index, node in enumerate(graph.get_ordered_ops()):
        node.set_friendly_name(f"{node.get_type_name()}_{index}")
    ov.save_model(graph, target, compress_to_fp16=False)
