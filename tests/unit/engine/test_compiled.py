"""Several threads may ask a compiled graph at once, from the first moment on."""

import subprocess
import sys

import pytest

ASKED_AT_ONCE = """
import sys
from concurrent.futures import ThreadPoolExecutor
import numpy as np
import openvino as ov
from openvino import opset13 as ops
from pipeline.engine.compiled import compile_graph

pixels = ops.parameter([-1, 32, 32, 3], np.uint8)
means = ops.reduce_mean(ops.convert(pixels, np.float32), np.array([1, 2]), False)
compiled = compile_graph(ov.Model([means], [pixels], "means"), "f32")

def ask(value):
    given = np.full((16, 32, 32, 3), value, np.uint8)
    return compiled.create_infer_request().infer({0: given})[0].mean()

sys.setswitchinterval(1e-6)  # threads take turns wherever they can
with ThreadPoolExecutor(2) as pool:
    assert list(pool.map(ask, range(6))) == list(range(6))
"""


@pytest.mark.slow
def test_first_questions_at_once_are_answered() -> None:
    """Six fresh processes end; without care more than half of them would wait for ever."""
    for _ in range(6):
        subprocess.run([sys.executable, "-c", ASKED_AT_ONCE], check=True, timeout=60)
