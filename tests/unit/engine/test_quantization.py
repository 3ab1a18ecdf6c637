"""Int8: all convolutions but the first, and nothing else."""

from pathlib import Path

import numpy as np
import openvino as ov
import pytest
from openvino import opset13 as ops

from pipeline.engine.openvino_graph import compile_graph
from pipeline.engine.quantization import quantize

pytestmark = pytest.mark.slow
SIDE = 16


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Three convolutions and a head, in float32 and quantised."""
    folder = tmp_path_factory.mktemp("int8")
    rng = np.random.default_rng(3)
    pixels = ops.parameter([-1, SIDE, SIDE, 3], np.uint8, name="pixels")
    x = ops.divide(ops.convert(pixels, np.float32), np.float32(255))
    x = ops.transpose(x, np.array([0, 3, 1, 2]))
    for channels in (3, 8, 8):
        kernel = rng.normal(size=(8, channels, 3, 3)).astype(np.float32) / channels
        x = ops.relu(ops.convolution(x, kernel, [1, 1], [1, 1], [1, 1], [1, 1]))
    head = rng.normal(size=(8, 4)).astype(np.float32)
    logits = ops.matmul(ops.reduce_mean(x, np.array([2, 3]), False), head, False, False)
    model = ov.Model([ops.softmax(logits, 1)], [pixels], "small")
    ov.save_model(model, folder / "float.xml", compress_to_fp16=False)
    quantize(folder / "float.xml", folder / "int8.xml", _images(30))
    return folder / "float.xml", folder / "int8.xml"


def _images(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (20, SIDE, SIDE, 3), np.uint8)


def test_only_convolutions_behind_the_first_are_quantised(models: tuple[Path, Path]) -> None:
    """Two of three have 8-bit weights and inputs; the head has none."""
    graph = ov.Core().read_model(models[1])
    inputs = [
        [source.get_node().get_type_name() for source in node.input_values()]
        for node in graph.get_ordered_ops()
        if node.get_type_name() in ("Convolution", "MatMul")
    ]
    quantised = ["FakeQuantize" in kinds for kinds in inputs]
    assert quantised == [False, True, True, False]


def test_the_predictions_stay_close(models: tuple[Path, Path]) -> None:
    """On images that were not calibrated on, probabilities differ by less than 0.01."""
    before, after = (compile_graph(path, "f32") for path in models)
    images = _images(31)
    difference = np.abs(before(images)[0] - after(images)[0])
    assert 0 < difference.max() < 0.01


def test_the_same_model_is_the_same_file(models: tuple[Path, Path], tmp_path: Path) -> None:
    """A repeated export gives the same digest."""
    quantize(models[0], tmp_path / "again.xml", _images(30))
    for kind in (".xml", ".bin"):
        ours, theirs = tmp_path / f"again{kind}", models[1].with_suffix(kind)
        assert ours.read_bytes() == theirs.read_bytes()
