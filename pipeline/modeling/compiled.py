"""A graph compiled for the processor, and written to a file."""

import os
import threading
from pathlib import Path
from typing import Any, Literal

_FIRST_LOOK = threading.Lock()


def compile_graph(graph: Any, precision: str, hint: Literal["LATENCY", "THROUGHPUT"]) -> Any:
    """Compile; the result may be asked by several threads, each with a request of its own.

    Whoever wants an engine starts OpenVINO here and nowhere else.

    Args:
        graph: an `openvino.Model`, or the path of one.
        precision: `f32`, or `bf16` where the processor has it.
        hint: `LATENCY` puts all cores on one request, `THROUGHPUT` a request on each.
    """
    os.environ.setdefault("OPENVINO_TELEMETRY_OPT_OUT", "1")
    import openvino as ov

    # The first look at a tensor's data asks NumPy's version in Python while it holds a C++ lock
    # (pybind11 in OpenVINO 2026.4.1): two threads that look first at once wait for each other.
    with _FIRST_LOOK:
        _ = ov.Tensor(ov.Type.u8, ov.Shape([1])).data
    hints = {"INFERENCE_PRECISION_HINT": precision, "PERFORMANCE_HINT": hint}
    return ov.Core().compile_model(graph, "CPU", hints)


def save_graph(graph: Any, target: Path) -> None:
    """Write an `openvino.Model` so that the same one is the same file.

    OpenVINO numbers nodes by all that the process ever made.
    """
    import openvino as ov

    for place, node in enumerate(graph.get_ordered_ops()):
        node.set_friendly_name(f"{node.get_type_name()}_{place}")
    ov.save_model(graph, target, compress_to_fp16=False)
