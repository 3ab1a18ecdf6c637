"""Int8 for the serving engine: convolutions in 8-bit integers, calibrated on real crops (NNCF)."""

import io
import logging
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

from pipeline.contract.decoding import Pixels
from pipeline.engine.compiled import CONVOLUTION, convolutions, save_graph

_AROUND = {CONVOLUTION, "Relu", "MaxPool", "Constant", "Parameter", "Result"}
"""Kinds of nodes that an 8-bit convolution may need to change beside it."""


def quantize(source: Path, target: Path, crops: Pixels) -> None:
    """Write `target`, a quantised copy of the OpenVINO model `source`.

    Only convolutions are quantised: they are nearly all of the work, while the region means and
    the head behind them lose a sixth of their answers in 8 bits. The first convolution stays too,
    since a pixel's three channels cost little and everything rests on them. Weights have 7 bits,
    since two products of 8 overflow what processors without VNNI add them up in; and no bias is
    corrected afterwards, which moved the answers of thinner convolutions away from Keras's
    (docs/decisions/0011-eight-bits.md).

    Args:
        source: an `.xml` in float32.
        target: an `.xml`; its `.bin` stands beside it.
        crops: images of the training part (n, size, size, 3) uint8, which set the ranges.
    """
    import nncf
    import openvino as ov
    from nncf.quantization.advanced_parameters import OverflowFix

    logging.getLogger("nncf").setLevel(logging.ERROR)
    graph = ov.Core().read_model(source)
    data = nncf.Dataset([crops[place : place + 1] for place in range(len(crops))])
    with redirect_stdout(io.StringIO()):  # bars, drawn where `--json` may be asked for
        smaller = nncf.quantize(
            graph,
            data,
            subset_size=len(crops),
            ignored_scope=_left_alone(graph),
            advanced_parameters=nncf.AdvancedQuantizationParameters(
                overflow_fix=OverflowFix.ENABLE, disable_bias_correction=True
            ),
        )
    save_graph(smaller, target)


def _left_alone(graph: Any) -> Any:
    import nncf

    first = convolutions(graph)[0].get_friendly_name()
    others = {node.get_type_name() for node in graph.get_ordered_ops()} - _AROUND
    return nncf.IgnoredScope(names=[first], types=sorted(others))
