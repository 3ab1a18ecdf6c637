"""Low-rank convolutions: fewer multiplications, nearly the same responses."""

from pathlib import Path

import numpy as np
import openvino as ov
import pytest
from numpy.typing import NDArray
from openvino import opset13 as ops

from pipeline.engine.low_rank import fit_low_rank, write_low_rank
from pipeline.engine.openvino_graph import compile_graph

SIDE = 16
RNG = np.random.default_rng(3)
Floats = NDArray[np.float32]


def _draw(rank: int, channels: int) -> Floats:
    """Responses (2000, channels) of a rank, around 5."""
    drawn = RNG.normal(size=(2000, rank)) @ RNG.normal(size=(rank, channels)) + 5
    return np.asarray(drawn, np.float32)


def _activated(responses: Floats, bias: Floats) -> Floats:
    return np.asarray(np.maximum(responses + bias, 0))


def test_the_rank_follows_the_variance() -> None:
    """For 40 channels of rank 10, 99 % of the variance takes rank 16, and a third takes 8."""
    expected, bias = _draw(10, 40), np.zeros(40, np.float32)
    fitted = fit_low_rank(expected, expected, bias, 0.99)
    assert fitted.reduce.shape == (16, 40)
    assert fitted.expand.shape == (40, 16)
    assert np.abs(fitted(expected) - expected).max() < 0.01 * expected.std()
    assert fit_low_rank(expected, expected, bias, 0.33).reduce.shape == (8, 40)


def test_a_layer_corrects_the_changes_of_earlier_layers() -> None:
    """It is fitted to the original network's responses, from the inputs that it will get."""
    expected, bias = _draw(6, 24), np.zeros(24, np.float32)
    responses = 0.8 * expected + 3
    fitted = fit_low_rank(responses, expected, bias, 0.999)
    assert np.abs(fitted(responses) - expected).max() < 0.01 * expected.std()


def test_the_fit_minimises_the_error_behind_the_relu() -> None:
    """At too low a rank the error behind the ReLU is smaller than that of the best linear fit."""
    expected, bias = _draw(16, 40), np.full(40, -8, np.float32)
    fitted = fit_low_rank(expected, expected, bias, 0.4)
    mean = expected.mean(0)
    axes = np.linalg.svd(expected - mean, full_matrices=False)[2][: len(fitted.mean)]
    linear = (expected - mean) @ axes.T @ axes + mean
    activated = _activated(expected, bias)
    ours, theirs = (
        float(((_activated(approximated, bias) - activated) ** 2).mean())
        for approximated in (fitted(expected), linear)
    )
    assert ours < 0.95 * theirs


def _write(path: Path, *, rank: int) -> None:
    """Three convolutions and a head; the later kernels give responses of a low rank."""
    rng = np.random.default_rng(5)
    pixels = ops.parameter([-1, SIDE, SIDE, 3], np.uint8, name="pixels")
    x = ops.divide(ops.convert(pixels, np.float32), np.float32(255))
    x = ops.transpose(x, np.array([0, 3, 1, 2]))
    for channels in (3, 32, 32):
        kernel = rng.normal(size=(32, rank)) @ rng.normal(size=(rank, channels * 9))
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


def test_fewer_multiplications_give_nearly_the_same_predictions(tmp_path: Path) -> None:
    """Each convolution behind the first becomes two; also on images that were not fitted to."""
    original, factorised = tmp_path / "original.xml", tmp_path / "low_rank.xml"
    _write(original, rank=8)
    share = write_low_rank(original, factorised, _images(1), 0.9999)
    two = [(8, 32, 3, 3), (32, 8, 1, 1)]
    assert _kernels(factorised) == [(32, 3, 3, 3), *two, *two]
    first, other, less = 32 * 27, 32 * 32 * 9, 8 * 32 * 9 + 32 * 8
    assert share == pytest.approx((first + 2 * less) / (first + 2 * other))
    before, after = (compile_graph(path, "f32") for path in (original, factorised))
    assert np.abs(before(_images(2))[0] - after(_images(2))[0]).max() < 1e-3


def test_a_convolution_stays_if_two_are_not_cheaper(tmp_path: Path) -> None:
    """At full rank nothing is replaced."""
    original, same = tmp_path / "original.xml", tmp_path / "same.xml"
    _write(original, rank=32)
    assert write_low_rank(original, same, _images(1), 1 - 1e-12) == 1.0
    assert _kernels(same) == _kernels(original)


def test_the_same_model_is_the_same_file(tmp_path: Path) -> None:
    """A repeated export gives the same digest."""
    _write(tmp_path / "original.xml", rank=8)
    for name in ("one", "two"):
        write_low_rank(tmp_path / "original.xml", tmp_path / f"{name}.xml", _images(1), 0.99)
    for kind in (".xml", ".bin"):
        ours, theirs = (tmp_path / f"{name}{kind}" for name in ("one", "two"))
        assert ours.read_bytes() == theirs.read_bytes()
