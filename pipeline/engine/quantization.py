"""Int8 for the serving engine: convolutions in 8-bit integers, calibrated on real crops (NNCF)."""

import io
import logging
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

from pipeline.contract.decoding import Pixels
from pipeline.engine.openvino_graph import CONVOLUTION, convolutions, save_graph

_QUANTIZABLE = {CONVOLUTION, "Relu", "MaxPool", "Constant", "Parameter", "Result"}
"""Node types that may be quantised, since 8-bit convolutions pass through them."""


def quantize(source: Path, target: Path, crops: Pixels) -> None:
    """Write an int8 copy of the OpenVINO model `source` to `target`.

    Only convolutions are quantised. They are nearly all of the work; with the region means and the
    head in 8 bits as well, one prediction in six changes. The first convolution stays in float: it
    costs little, and all others depend on it. Weights have 7 bits, because sums of two 8-bit
    products overflow on processors without VNNI. Bias correction is off: it made low-rank
    convolutions less accurate (docs/decisions/0011-int8-and-low-rank.md). NNCF is silenced.

    Args:
        source: an `.xml` in float32.
        target: an `.xml`; its `.bin` is written next to it.
        crops: images of the training part (n, size, size, 3) uint8, which calibrate the ranges.
    """
    import nncf
    import openvino as ov
    from nncf.quantization.advanced_parameters import OverflowFix

    logging.getLogger("nncf").setLevel(logging.ERROR)
    graph = ov.Core().read_model(source)
    data = nncf.Dataset([crops[index : index + 1] for index in range(len(crops))])
    with redirect_stdout(io.StringIO()):  # its progress bars would spoil the output of `--json`
        quantised = nncf.quantize(
            graph,
            data,
            subset_size=len(crops),
            ignored_scope=_ignored_scope(graph),
            advanced_parameters=nncf.AdvancedQuantizationParameters(
                overflow_fix=OverflowFix.ENABLE, disable_bias_correction=True
            ),
        )
    save_graph(quantised, target)


def _ignored_scope(graph: Any) -> Any:
    """NNCF's scope of the nodes that stay in float: the first convolution, and other node types."""
    import nncf

    first = convolutions(graph)[0].get_friendly_name()
    others = {node.get_type_name() for node in graph.get_ordered_ops()} - _QUANTIZABLE
    return nncf.IgnoredScope(names=[first], types=sorted(others))
