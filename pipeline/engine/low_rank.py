"""Low-rank convolutions: one convolution as a narrower one followed by a 1 x 1 convolution.

The responses of a layer have a lower rank than it has channels. Layers are factorised in order:
each is fitted to the original network's responses behind the ReLU, given the inputs from the layers
factorised before it: X. Zhang, J. Zou, K. He, J. Sun: "Accelerating Very Deep Convolutional
Networks for Classification and Detection" (2015), asymmetric reconstruction with the nonlinearity.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from pipeline.contract.decoding import Pixels
from pipeline.engine.openvino_graph import compile_graph, convolutions, multiplications, save_graph

Floats = NDArray[np.float32]
_POSITIONS = 250
"""Spatial positions sampled from each crop; neighbouring responses are nearly equal."""
_RANK_MULTIPLE = 8
"""Ranks are multiples of 8, which vector instructions process at once."""
_RIDGE = 1e-4
"""Ridge, as a share of a channel's mean variance: a channel that is always 0 has no inverse."""
_ROWS = 256
"""Rows of a block of `_auxiliary_targets`."""
_PENALTIES = (0.01,) * 8 + (1.0,) * 8
"""Penalty on the distance to the previous fit in each iteration; lambda in the source."""


@dataclass(frozen=True)
class LowRank:
    """Approximation of a layer's responses: `expand @ (reduce @ responses - mean) + offset`."""

    reduce: Floats
    """(rank, channels)"""
    expand: Floats
    """(channels, rank)"""
    mean: Floats
    """(rank,), subtracted because 8-bit integers resolve values around 0 best."""
    offset: Floats
    """(channels,)"""

    def __call__(self, responses: Floats) -> Floats:
        """Approximation of a layer's responses (n, channels)."""
        reduced = responses @ self.reduce.T - self.mean
        return np.asarray(reduced @ self.expand.T + self.offset, np.float32)


def write_low_rank(source: Path, target: Path, crops: Pixels, variance: float) -> float:
    """Write a low-rank copy of an OpenVINO model; returns the remaining share of multiplications.

    The first convolution stays: its three channels cost little. So does a convolution that two
    would not make cheaper. Every convolution must be followed by a ReLU.

    Args:
        source: an `.xml` in float32.
        target: an `.xml`; its `.bin` is written next to it.
        crops: images of the training part to fit to (n, size, size, 3) uint8.
        variance: share of the variance of each layer's responses to keep, 0 to 1.

    Returns:
        Multiplications of the convolutions of `target` over those of `source`, 0 to 1.
    """
    import openvino as ov

    original, factorised = (ov.Core().read_model(source) for _ in range(2))
    names = [node.get_friendly_name() for node in convolutions(original)[1:]]
    # One thread: the same file on any number of cores, and faster on matrices of this size.
    with threadpool_limits(limits=1, user_api="blas"):
        for name, expected in zip(names, _responses(original, names, crops), strict=True):
            (responses,) = _responses(factorised, [name], crops)
            bias = _bias(_find_node(original, name))
            _replace_convolution(
                factorised, name, fit_low_rank(responses, expected, bias, variance)
            )
    save_graph(factorised, target)
    for graph in (factorised, original):
        graph.reshape({0: [1, *crops.shape[1:]]})
    return multiplications(factorised) / multiplications(original)


def fit_low_rank(responses: Floats, expected: Floats, bias: Floats, variance: float) -> LowRank:
    """Fit a low-rank convolution; its rank, a multiple of 8, keeps a share of the fit's variance.

    Args:
        responses: of the network factorised so far (n, channels).
        expected: responses of the original network at the same positions (n, channels).
        bias: added to both before the ReLU (channels,).
        variance: share of the fitted responses' variance to keep, 0 to 1.
    """
    activated = np.maximum(expected + bias, 0)
    fitted = _reduced_rank_regression(responses, expected, partial(_rank, variance=variance))
    rank = len(fitted.mean)
    for penalty in _PENALTIES:
        target = _auxiliary_targets(fitted(responses) + bias, activated, penalty) - bias
        fitted = _reduced_rank_regression(responses, target, lambda _: rank)
    # A random rotation gives all directions the same variance: 8-bit integers have one scale.
    rotation = np.linalg.qr(np.random.default_rng(1).normal(size=(rank, rank)))[0]
    rotation = rotation.astype(np.float32)
    return LowRank(
        rotation.T @ fitted.reduce,
        fitted.expand @ rotation,
        rotation.T @ fitted.mean,
        fitted.offset,
    )


def _rank(variances: NDArray[np.float64], variance: float) -> int:
    """Smallest multiple of 8 that keeps a share of the variances (in descending order)."""
    cumulative = np.cumsum(variances) / variances.sum()
    rank = int(np.searchsorted(cumulative, variance)) + 1
    return min(len(variances), math.ceil(rank / _RANK_MULTIPLE) * _RANK_MULTIPLE)


def _reduced_rank_regression(
    inputs: Floats, targets: Floats, rank: Callable[[NDArray[np.float64]], int]
) -> LowRank:
    """Ridge regression of `targets` on `inputs`, truncated to `rank(variances)` components."""
    mean, offset = inputs.mean(0), targets.mean(0)
    centred = inputs - mean
    square = (centred.T @ centred).astype(np.float64)
    ridge = _RIDGE * np.trace(square) / len(square) * np.eye(len(square))
    linear = np.linalg.solve(square + ridge, centred.T @ (targets - offset)).T
    variances, axes = np.linalg.eigh(linear @ square @ linear.T)
    expand = axes[:, ::-1][:, : rank(variances[::-1])]
    reduce = (expand.T @ linear).astype(np.float32)
    return LowRank(reduce, expand.astype(np.float32), reduce @ mean, offset)


def _auxiliary_targets(fitted: Floats, activated: Floats, penalty: float) -> Floats:
    """Regression targets that reduce the error behind the ReLU; all are (n, channels).

    For each value the best negative or the best non-negative one, whichever costs less. The cost is
    the squared difference to `activated` behind the ReLU, plus `penalty` times that to `fitted`.
    """
    targets = np.empty_like(fitted)
    for start in range(0, len(fitted), _ROWS):  # intermediate arrays stay in the processor's cache
        rows = slice(start, start + _ROWS)
        fit, exact = fitted[rows], activated[rows]
        below = np.minimum(fit, 0)
        above = np.maximum((penalty * fit + exact) / (penalty + 1), 0)
        cost_below = exact**2 + penalty * (below - fit) ** 2
        cost_above = (above - exact) ** 2 + penalty * (above - fit) ** 2
        targets[rows] = np.where(cost_below < cost_above, below, above)
    return targets


def _find_node(graph: Any, name: str) -> Any:
    return next(node for node in graph.get_ordered_ops() if node.get_friendly_name() == name)


def _responses(graph: Any, names: Sequence[str], crops: Pixels) -> list[Floats]:
    """Outputs of the named convolutions for the crops, at sampled positions: (n, channels) each."""
    import openvino as ov

    outputs = [_find_node(graph, name).output(0) for name in names]
    part = ov.Model(outputs, graph.get_parameters(), "part")
    request = compile_graph(part, "f32", 1).create_infer_request()
    generators = [np.random.default_rng(1) for _ in names]
    samples: list[list[Floats]] = [[] for _ in names]
    for crop in range(len(crops)):
        result = request.infer({0: crops[crop : crop + 1]})
        for index, (sample, rng) in enumerate(zip(samples, generators, strict=True)):
            sample.append(_sampled(result[index][0], rng))
    return [np.concatenate(sample) for sample in samples]


def _sampled(responses: Floats, rng: np.random.Generator) -> Floats:
    """Responses (channels, height, width) at random positions (positions, channels)."""
    flat = responses.reshape(len(responses), -1)
    count = min(_POSITIONS, flat.shape[1])
    return flat[:, rng.choice(flat.shape[1], count, replace=False)].T.copy()


def _bias(convolution: Any) -> Floats:
    """Bias that a graph adds to the output of a convolution (channels,); zeros if it adds none."""
    reader = next(iter(convolution.output(0).get_target_inputs())).get_node()
    if reader.get_type_name() != "Add":
        return np.zeros(convolution.output(0).get_partial_shape()[1].get_length(), np.float32)
    return np.array(reader.input_value(1).get_node().data, np.float32).reshape(-1)


def _replace_convolution(graph: Any, name: str, fitted: LowRank) -> None:
    """Replace a convolution in `graph` by a narrower one and a 1 x 1, unless these cost more."""
    from openvino import opset13 as ops

    node = _find_node(graph, name)
    kernel = node.input_value(1).get_node().data
    narrow_kernel = np.einsum("ro,oihw->rihw", fitted.reduce, kernel)
    if narrow_kernel.size + fitted.expand.size >= kernel.size:
        return
    attributes = node.get_attributes()
    names = ("strides", "pads_begin", "pads_end", "dilations", "auto_pad")
    geometry = [attributes[key] for key in names]
    narrow = ops.convolution(node.input_value(0), narrow_kernel, *geometry)
    centred = ops.add(narrow, _as_four_axes(-fitted.mean, 1))
    wide = ops.convolution(centred, _as_four_axes(fitted.expand, 0), [1, 1], [0, 0], [0, 0], [1, 1])
    responses = ops.add(wide, _as_four_axes(fitted.offset, 1))
    for reader in list(node.output(0).get_target_inputs()):
        reader.replace_source_output(responses.output(0))
    graph.validate_nodes_and_infer_types()


def _as_four_axes(values: Floats, axis: int) -> Floats:
    """Reshape values to a convolution's four axes, from `axis` on; other axes have length 1."""
    shape = [1] * axis + list(values.shape)
    return values.reshape(shape + [1] * (4 - len(shape)))
