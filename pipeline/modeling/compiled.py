"""A graph compiled for the processor: the one place that starts OpenVINO."""

import os
from typing import Any, Literal


def compile_graph(graph: Any, precision: str, hint: Literal["LATENCY", "THROUGHPUT"]) -> Any:
    """Compile; the result may be asked by several threads, each with a request of its own.

    Args:
        graph: an `openvino.Model`, or the path of one.
        precision: `f32`, or `bf16` where the processor has it.
        hint: `LATENCY` puts all cores on one request, `THROUGHPUT` a request on each.
    """
    os.environ.setdefault("OPENVINO_TELEMETRY_OPT_OUT", "1")
    import openvino as ov

    # The first look at a tensor's data asks NumPy's version in Python while it holds a C++ lock
    # (pybind11 in OpenVINO 2026.4.1): two threads that look first at once wait for each other.
    _ = ov.Tensor(ov.Type.u8, ov.Shape([1])).data
    hints = {"INFERENCE_PRECISION_HINT": precision, "PERFORMANCE_HINT": hint}
    return ov.Core().compile_model(graph, "CPU", hints)
