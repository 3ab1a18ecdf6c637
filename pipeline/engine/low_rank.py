"""Fewer operations for the serving engine: a convolution as a thin one and a 1 x 1.

The responses of a layer lie near fewer directions than it has channels. Fitted layer after layer,
each to what the whole network lets through its ReLU, given the thinner inputs that it will see:
X. Zhang, J. Zou, K. He, J. Sun: "Accelerating Very Deep Convolutional Networks for Classification
and Detection" (2015), asymmetric reconstruction with the nonlinearity.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.contract.decoding import Pixels
from pipeline.engine.compiled import compile_graph, convolutions, multiplications, save_graph

Floats = NDArray[np.float32]
_PLACES = 250
"""Of a crop at which responses are looked at; neighbours say nearly the same."""
_STEP = 8
"""Channels come in eights, as processors take them."""
_RIDGE = 1e-4
"""Of the mean variance of a channel: a channel that never answers has no inverse."""
_TIES = (0.01,) * 8 + (1.0,) * 8
"""How much a fit may not leave the last one, first loose, then tight; the source's values."""


@dataclass(frozen=True)
class Fit:
    """A layer's responses by way of few directions: `expand @ (reduce @ given - mean) + offset`."""

    reduce: Floats
    """(directions, channels)"""
    expand: Floats
    """(channels, directions)"""
    mean: Floats
    """(directions,): in 8 bits, numbers around 0 are the most exact."""
    offset: Floats
    """(channels,)"""

    def answer(self, given: Floats) -> Floats:
        """Responses (n, channels) of the two convolutions for those of the one."""
        thin_ones = given @ self.reduce.T - self.mean
        return np.asarray(thin_ones @ self.expand.T + self.offset, np.float32)


def thin(source: Path, target: Path, crops: Pixels, variance: float) -> float:
    """Write `target`, a copy of the OpenVINO model `source` with thinner convolutions.

    The first convolution stays, since a pixel's three channels cost little, and so does every one
    that two would cost as much as. All are taken to be followed by a ReLU.

    Args:
        source: an `.xml` in float32.
        target: an `.xml`; its `.bin` stands beside it.
        crops: images of the training part (n, size, size, 3) uint8, which are fitted to.
        variance: share of the variance of each layer's responses that is kept, 0 to 1.

    Returns:
        Share of the convolutions' multiplications that is left, 0 to 1.
    """
    import openvino as ov

    whole, thinner = (ov.Core().read_model(source) for _ in range(2))
    names = [node.get_friendly_name() for node in convolutions(whole)[1:]]
    for name, wanted in zip(names, _responses(whole, names, crops), strict=True):
        (given,) = _responses(thinner, [name], crops)
        _replace(thinner, name, fit(given, wanted, _bias(_named(whole, name)), variance))
    save_graph(thinner, target)
    for graph in (thinner, whole):
        graph.reshape({0: [1, *crops.shape[1:]]})
    return multiplications(thinner) / multiplications(whole)


def fit(given: Floats, wanted: Floats, bias: Floats, variance: float) -> Fit:
    """The fewest directions, in eights, that keep a share of the variance of what is wanted.

    Args:
        given: responses of the thinner network so far (n, channels).
        wanted: responses of the whole one at the same places (n, channels).
        bias: what is added to both before the ReLU (channels,).
        variance: share to be kept, 0 to 1.
    """
    through = np.maximum(wanted + bias, 0)
    found = _reduced(given, wanted, partial(_enough, variance=variance))
    directions = len(found.mean)
    for tie in _TIES:
        aim = _aim(found.answer(given) + bias, through, tie) - bias
        found = _reduced(given, aim, lambda _: directions)
    # Turned at random, all directions vary alike: 8 bits with one step for all lose the least.
    turn = np.linalg.qr(np.random.default_rng(1).normal(size=(directions, directions)))[0]
    turn = turn.astype(np.float32)
    return Fit(turn.T @ found.reduce, found.expand @ turn, turn.T @ found.mean, found.offset)


def _enough(sizes: NDArray[np.float64], variance: float) -> int:
    """How many of the directions, the largest first, keep a share of the variance."""
    kept = np.cumsum(sizes) / sizes.sum()
    enough = int(np.searchsorted(kept, variance)) + 1
    return min(len(sizes), math.ceil(enough / _STEP) * _STEP)


def _reduced(given: Floats, wanted: Floats, count: Callable[[NDArray[np.float64]], int]) -> Fit:
    """Reduced-rank regression; `count` says how many directions of which variances are kept."""
    mean, offset = given.mean(0), wanted.mean(0)
    centred = given - mean
    square = (centred.T @ centred).astype(np.float64)
    ridge = _RIDGE * np.trace(square) / len(square) * np.eye(len(square))
    linear = np.linalg.solve(square + ridge, centred.T @ (wanted - offset)).T
    sizes, axes = np.linalg.eigh(linear @ square @ linear.T)
    expand = axes[:, ::-1][:, : count(sizes[::-1])]
    reduce = (expand.T @ linear).astype(np.float32)
    return Fit(reduce, expand.astype(np.float32), reduce @ mean, offset)


def _aim(answered: Floats, through: Floats, tie: float) -> Floats:
    """What to fit instead, so that less differs behind the ReLU.

    Of each number the best that is negative, or the best that is not, whichever costs less: the
    squared difference to `through` behind the ReLU and `tie` times that to `answered` before it.
    """
    below = np.minimum(answered, 0)
    above = np.maximum((tie * answered + through) / (tie + 1), 0)
    cost_below = through**2 + tie * (below - answered) ** 2
    cost_above = (above - through) ** 2 + tie * (above - answered) ** 2
    return np.where(cost_below < cost_above, below, above).astype(np.float32)


def _named(graph: Any, name: str) -> Any:
    return next(node for node in graph.get_ordered_ops() if node.get_friendly_name() == name)


def _responses(graph: Any, names: Sequence[str], crops: Pixels) -> list[Floats]:
    """What convolutions give at some places of each crop, each (crops x places, channels)."""
    import openvino as ov

    wanted = [_named(graph, name).output(0) for name in names]
    part = ov.Model(wanted, graph.get_parameters(), "part")
    request = compile_graph(part, "f32", 1).create_infer_request()
    draws = [np.random.default_rng(1) for _ in names]
    found: list[list[Floats]] = [[] for _ in names]
    for place in range(len(crops)):
        given = request.infer({0: crops[place : place + 1]})
        for index, (some, draw) in enumerate(zip(found, draws, strict=True)):
            some.append(_sampled(given[index][0], draw))
    return [np.concatenate(some) for some in found]


def _sampled(given: Floats, draw: np.random.Generator) -> Floats:
    """Responses (channels, height, width) at places drawn at random (places, channels)."""
    flat = given.reshape(len(given), -1)
    count = min(_PLACES, flat.shape[1])
    return flat[:, draw.choice(flat.shape[1], count, replace=False)].T.copy()


def _bias(convolution: Any) -> Floats:
    """What a graph adds to the channels of a convolution (channels,)."""
    reader = next(iter(convolution.output(0).get_target_inputs())).get_node()
    if reader.get_type_name() != "Add":
        return np.zeros(convolution.output(0).get_partial_shape()[1].get_length(), np.float32)
    return np.array(reader.input_value(1).get_node().data, np.float32).reshape(-1)


def _replace(graph: Any, name: str, found: Fit) -> None:
    """Put a thin convolution and a 1 x 1 in the place of a convolution, where they cost less."""
    from openvino import opset13 as ops

    node = _named(graph, name)
    kernel = node.input_value(1).get_node().data
    thin_kernel = np.einsum("ro,oihw->rihw", found.reduce, kernel)
    if thin_kernel.size + found.expand.size >= kernel.size:
        return
    like = node.get_attributes()
    places = [like[key] for key in ("strides", "pads_begin", "pads_end", "dilations", "auto_pad")]
    thinner = ops.convolution(node.input_value(0), thin_kernel, *places)
    centred = ops.add(thinner, _shaped(-found.mean, 1))
    wide = ops.convolution(centred, _shaped(found.expand, 0), [1, 1], [0, 0], [0, 0], [1, 1])
    whole = ops.add(wide, _shaped(found.offset, 1))
    for reader in list(node.output(0).get_target_inputs()):
        reader.replace_source_output(whole.output(0))
    graph.validate_nodes_and_infer_types()


def _shaped(values: Floats, axis: int) -> Floats:
    """Values from an axis on, in the four axes of a convolution."""
    shape = [1] * axis + list(values.shape)
    return values.reshape(shape + [1] * (4 - len(shape)))
