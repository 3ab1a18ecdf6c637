"""Thinner convolutions: fewer operations, nearly the same responses."""

from pathlib import Path

import numpy as np
import openvino as ov
import pytest
from numpy.typing import NDArray
from openvino import opset13 as ops

from pipeline.engine.compiled import compile_graph
from pipeline.engine.low_rank import fit, thin

SIDE = 16
RNG = np.random.default_rng(3)
Floats = NDArray[np.float32]


def _draw(directions: int, channels: int) -> Floats:
    """Responses (2000, channels) in a few directions that count alike, around 5."""
    drawn = RNG.normal(size=(2000, directions)) @ RNG.normal(size=(directions, channels)) + 5
    return np.asarray(drawn, np.float32)


def _behind(responses: Floats, bias: Floats) -> Floats:
    return np.asarray(np.maximum(responses + bias, 0))


def test_as_many_directions_as_the_variance_needs() -> None:
    """Of 40 channels in 10 directions, 99 % of the variance takes 16, and a third takes 8."""
    wanted, bias = _draw(10, 40), np.zeros(40, np.float32)
    found = fit(wanted, wanted, bias, 0.99)
    assert found.reduce.shape == (16, 40)
    assert found.expand.shape == (40, 16)
    assert np.abs(found.answer(wanted) - wanted).max() < 0.01 * wanted.std()
    assert fit(wanted, wanted, bias, 0.33).reduce.shape == (8, 40)


def test_what_earlier_layers_changed_is_undone() -> None:
    """A layer is fitted to the whole network's responses, given those it will see."""
    wanted, bias = _draw(6, 24), np.zeros(24, np.float32)
    given = 0.8 * wanted + 3
    found = fit(given, wanted, bias, 0.999)
    assert np.abs(found.answer(given) - wanted).max() < 0.01 * wanted.std()


def test_what_the_relu_stops_need_not_be_fitted() -> None:
    """With too few directions, what passes the ReLU is nearer than by the best straight fit."""
    wanted, bias = _draw(16, 40), np.full(40, -8, np.float32)
    found = fit(wanted, wanted, bias, 0.4)
    mean = wanted.mean(0)
    axes = np.linalg.svd(wanted - mean, full_matrices=False)[2][: len(found.mean)]
    straight = (wanted - mean) @ axes.T @ axes + mean
    through = _behind(wanted, bias)
    ours, theirs = (
        float(((_behind(answer, bias) - through) ** 2).mean())
        for answer in (found.answer(wanted), straight)
    )
    assert ours < 0.95 * theirs


def _write(path: Path, *, directions: int) -> None:
    """Three convolutions and a head; the later kernels give responses in few directions."""
    rng = np.random.default_rng(5)
    pixels = ops.parameter([-1, SIDE, SIDE, 3], np.uint8, name="pixels")
    x = ops.divide(ops.convert(pixels, np.float32), np.float32(255))
    x = ops.transpose(x, np.array([0, 3, 1, 2]))
    for channels in (3, 32, 32):
        kernel = rng.normal(size=(32, directions)) @ rng.normal(size=(directions, channels * 9))
        kernel = kernel.reshape(32, channels, 3, 3).astype(np.float32) / (9 * channels)
        x = ops.convolution(x, kernel, [1, 1], [1, 1], [1, 1], [1, 1])
        x = ops.relu(ops.add(x, np.full((1, 32, 1, 1), 0.1, np.float32)))
    head = rng.normal(size=(32, 4)).astype(np.float32)
    logits = ops.matmul(ops.reduce_mean(x, np.array([2, 3]), False), head, False, False)
    ov.save_model(ov.Model([ops.softmax(logits, 1)], [pixels], "m"), path, compress_to_fp16=False)


def _images(seed: int) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (12, SIDE, SIDE, 3), np.uint8)


def _kernels(path: Path) -> list[tuple[int, ...]]:
    return [
        tuple(node.input_value(1).get_shape())
        for node in ov.Core().read_model(path).get_ordered_ops()
        if node.get_type_name() == "Convolution"
    ]


def test_fewer_operations_give_nearly_the_same_answers(tmp_path: Path) -> None:
    """Behind the first convolution each becomes two, on images that were not fitted to as well."""
    whole, thinner = tmp_path / "whole.xml", tmp_path / "thin.xml"
    _write(whole, directions=8)
    share = thin(whole, thinner, _images(1), 0.9999)
    two = [(8, 32, 3, 3), (32, 8, 1, 1)]
    assert _kernels(thinner) == [(32, 3, 3, 3), *two, *two]
    first, other, less = 32 * 27, 32 * 32 * 9, 8 * 32 * 9 + 32 * 8
    assert share == pytest.approx((first + 2 * less) / (first + 2 * other))
    before, after = (compile_graph(path, "f32") for path in (whole, thinner))
    assert np.abs(before(_images(2))[0] - after(_images(2))[0]).max() < 1e-3


def test_a_convolution_that_two_would_cost_as_much_as_stays(tmp_path: Path) -> None:
    """Responses in as many directions as channels are left alone."""
    whole, same = tmp_path / "whole.xml", tmp_path / "same.xml"
    _write(whole, directions=32)
    assert thin(whole, same, _images(1), 1 - 1e-12) == 1.0
    assert _kernels(same) == _kernels(whole)


def test_the_same_model_is_the_same_file(tmp_path: Path) -> None:
    """A repeated export publishes nothing new."""
    _write(tmp_path / "whole.xml", directions=8)
    for name in ("one", "two"):
        thin(tmp_path / "whole.xml", tmp_path / f"{name}.xml", _images(1), 0.99)
    for kind in (".xml", ".bin"):
        ours, theirs = (tmp_path / f"{name}{kind}" for name in ("one", "two"))
        assert ours.read_bytes() == theirs.read_bytes()
